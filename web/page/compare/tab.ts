/** The tab that compares models. */
import { CompareView } from "./view.ts";

new CompareView();

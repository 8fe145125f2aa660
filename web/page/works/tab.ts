/** The tab on how it works. */
import { WorksView } from "./view.ts";

new WorksView();

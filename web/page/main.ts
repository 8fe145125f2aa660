/** The page: a tab for each thing to see. */
import { RecallView } from "./recall/view.ts";
import { Tabs } from "./tabs.ts";
import "./training_page.ts";

const recall = new RecallView();
new Tabs(["recall", "train"], { recall: (parameters) => recall.take(parameters) });

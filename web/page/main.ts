/** The page: a tab for each thing to see. The code of a tab is loaded when it is shown first. */
import { Tabs } from "./tabs.ts";

new Tabs({
  recall: () => import("./recall/tab.ts"),
  surprise: () => import("./surprise/tab.ts"),
  works: () => import("./works/tab.ts"),
  compare: () => import("./compare/tab.ts"),
  train: () => import("./training_page.ts"),
});

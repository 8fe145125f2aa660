/** The commands of the program, one line each. */
import { anomaliesCommand } from "./anomalies.ts";
import { classifyCommand } from "./classify/classify.ts";
import { compareRunsCommand } from "./compare_runs.ts";
import { completionsCommand } from "./completions.ts";
import { evaluateCommand } from "./evaluate.ts";
import { exportCommand } from "./export.ts";
import { fetchCommand } from "./fetch.ts";
import { forecastCommand } from "./forecast.ts";
import { generateCommand } from "./generate.ts";
import type { Commands } from "./help.ts";
import { importCommand } from "./import.ts";
import { infoCommand } from "./info.ts";
import { inspectCommand } from "./inspect.ts";
import { listCommand } from "./list.ts";
import { manCommand } from "./man.ts";
import { planCommand } from "./plan.ts";
import { rememberCommand } from "./remember.ts";
import { serveCommand } from "./serve/serve.ts";
import { trainCommand } from "./train.ts";
import { webCommand } from "./web.ts";

/** The commands by name. */
export const COMMANDS: Commands = {
  train: trainCommand,
  generate: generateCommand,
  evaluate: evaluateCommand,
  remember: rememberCommand,
  export: exportCommand,
  import: importCommand,
  serve: serveCommand,
  web: webCommand,
  fetch: fetchCommand,
  forecast: forecastCommand,
  anomalies: anomaliesCommand,
  classify: classifyCommand,
  inspect: inspectCommand,
  list: listCommand,
  "compare-runs": compareRunsCommand,
  completions: completionsCommand(() => COMMANDS),
  man: manCommand(() => COMMANDS),
  info: infoCommand,
  plan: planCommand,
};

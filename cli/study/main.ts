/** The entry of `deno task study`, which needs a checkout: its runs are commands of main.ts in processes of their own. */
import { runCommandLine } from "../run.ts";
import { processTerminal } from "../terminal.ts";
import { studyCommand } from "./study.ts";

if (import.meta.main) {
  Deno.exit(await runCommandLine({ study: studyCommand }, ["study", ...Deno.args], processTerminal()));
}

/** The command line: `train`, `generate`, `evaluate`, `remember`, `serve`, `fetch`, `inspect`, `info`, `help`; see cli/. */
import { COMMANDS } from "./cli/commands.ts";
import { runCommandLine } from "./cli/run.ts";
import { processTerminal, type Terminal } from "./cli/terminal.ts";

/** Runs a command line. @returns the exit code: see `runCommandLine`. */
export async function main(args: readonly string[], terminal: Terminal): Promise<number> {
  return await runCommandLine(COMMANDS, args, terminal);
}

if (import.meta.main) Deno.exit(await main(Deno.args, processTerminal()));

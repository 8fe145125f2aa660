/** The command line: `train`, `generate`, `remember`, `fetch`, `inspect`, `study`, `info`, `help`. Dispatch only; see cli/. */
import { COMMANDS } from "./cli/commands.ts";
import { exitCode, formatError } from "./cli/errors.ts";
import { asksHelp } from "./cli/flags.ts";
import { commandHelp, findCommand, overview } from "./cli/help.ts";
import { giveBackNetwork } from "./cli/program.ts";
import { processTerminal, type Terminal } from "./cli/terminal.ts";
import { VERSION } from "./cli/version.ts";

/**
 * Runs a command line.
 * @param args Words after the program's name.
 * @returns The exit code: 0, 2 for misuse, 1 for failure, 130 when stopped by Ctrl-C, 143 by SIGTERM, 141 where the
 * reader of its output left.
 */
export async function main(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = args;
  try {
    if (name === "--version" || name === "-V" || name === "version") terminal.out(`mneme ${VERSION}\n`);
    else if (name === "help" && rest.length > 0) terminal.out(commandHelp(rest[0], findCommand(COMMANDS, rest[0])));
    else if (name === undefined || name === "help" || name === "--help" || name === "-h") {
      terminal.out(overview(COMMANDS));
    } else if (asksHelp(rest, Object.hasOwn(COMMANDS, name) ? COMMANDS[name].flags : {})) {
      terminal.out(commandHelp(name, findCommand(COMMANDS, name)));
    } else {
      const command = findCommand(COMMANDS, name);
      if (!command.network) giveBackNetwork();
      return await command.run(rest, terminal);
    }
    return 0;
  } catch (error) {
    terminal.err(`${formatError(error, args.includes("--verbose"))}\n`);
    return exitCode(error);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args, processTerminal()));

/** Runs a command line of some commands: dispatch, help, errors and exit codes. */
import { exitCode, formatError } from "./errors.ts";
import { asksHelp } from "./flags.ts";
import { commandHelp, type Commands, findCommand, overview } from "./help.ts";
import { giveBackNetwork } from "./program.ts";
import type { Terminal } from "./terminal.ts";
import { VERSION } from "./version.ts";

/**
 * Runs a command line.
 * @param commands The commands by name.
 * @param args Words after the program's name.
 * @returns The exit code: 0, 2 for misuse, 1 for failure, 130 when stopped by Ctrl-C, 143 by SIGTERM, 141 where the
 * reader of its output left.
 */
export async function runCommandLine(
  commands: Commands,
  args: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const [name, ...rest] = args;
  try {
    if (name === "--version" || name === "-V" || name === "version") terminal.out(`mneme ${VERSION}\n`);
    else if (name === "help" && rest.length > 0) terminal.out(commandHelp(rest[0], findCommand(commands, rest[0])));
    else if (name === undefined || name === "help" || name === "--help" || name === "-h") {
      terminal.out(overview(commands));
    } else if (asksHelp(rest, Object.hasOwn(commands, name) ? commands[name].flags : {})) {
      terminal.out(commandHelp(name, findCommand(commands, name)));
    } else {
      const command = findCommand(commands, name);
      if (!command.network) giveBackNetwork();
      return await command.run(rest, terminal);
    }
    return 0;
  } catch (error) {
    terminal.err(`${formatError(error, args.includes("--verbose"))}\n`);
    return exitCode(error);
  }
}

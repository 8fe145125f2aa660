/** Help texts: each command's usage and examples, and its flags from their table. */
import { describeFlags, type Flags, suggestion } from "./flags.ts";
import { UsageError } from "./errors.ts";
import type { Terminal } from "./terminal.ts";

/** A command of the program. */
export interface Command {
  /** One line for the overview. */
  readonly summary: string;
  /** What it does, in a few lines. */
  readonly description: string;
  /** Lines to copy, each with what it does. */
  readonly examples: readonly (readonly [command: string, effect: string])[];
  readonly flags: Flags;
  /** Carries it out. @returns the exit code. */
  readonly run: (args: readonly string[], terminal: Terminal) => Promise<number>;
}

/** The commands by name. */
export type Commands = Readonly<Record<string, Command>>;

/** The overview of all commands. */
export function overview(commands: Commands): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  return [
    "Mneme trains and runs Titans: sequence models whose memory keeps learning while it reads.",
    "",
    "usage: deno task COMMAND [flags]     (or: deno run <permissions> main.ts COMMAND [flags])",
    "",
    ...Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`),
    "",
    "start here:",
    "  deno task train                 train a small model on real text; ends with a sample",
    '  deno task generate --prompt "The people"   let the newest run write',
    "",
    "flags of a command: deno task COMMAND --help",
    "",
  ].join("\n");
}

/** The help text of one command. */
export function commandHelp(name: string, command: Command): string {
  const width = Math.max(...command.examples.map(([line]) => line.length));
  return [
    command.description,
    "",
    `usage: deno task ${name} [flags]`,
    "",
    "examples:",
    ...command.examples.map(([line, effect]) => `  ${line.padEnd(width)}   ${effect}`),
    "",
    "flags:",
    describeFlags(command.flags),
    "",
  ].join("\n");
}

/** The command of a name. @throws {UsageError} with the nearest known name. */
export function findCommand(commands: Commands, name: string): Command {
  if (Object.hasOwn(commands, name)) return commands[name];
  throw new UsageError(`unknown command ${name}${suggestion(name, Object.keys(commands)) || `: there are ${Object.keys(commands).join(", ")}`}`);
}

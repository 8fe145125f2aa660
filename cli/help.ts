/** Help texts: each command's usage and examples, and its flags from their table. */
import { describeFlags, type Flags, suggestion } from "./flags.ts";
import { UsageError } from "./errors.ts";
import { asCalled, STANDALONE } from "./program.ts";
import type { Terminal } from "./terminal.ts";

/** A command of the program. */
export interface Command {
  /** One line for the overview. */
  readonly summary: string;
  /** What it does, in a few lines. */
  readonly description: string;
  /** Example command lines with descriptions. */
  readonly examples: readonly (readonly [command: string, effect: string])[];
  readonly flags: Flags;
  /** Whether it uses the network. Default: false. */
  readonly network?: boolean;
  /** Runs the command. @returns the exit code. */
  readonly run: (args: readonly string[], terminal: Terminal) => Promise<number>;
}

/** The commands by name. */
export type Commands = Readonly<Record<string, Command>>;

/** What the exit codes mean. */
export const EXIT_CODES =
  "0 success, 1 failure, 2 incorrect usage, 130 stopped by Ctrl-C, 143 by SIGTERM, 141 by a closed pipe";

/** Tasks that need the source code and are therefore not commands. */
const TASKS: Readonly<Record<string, string>> = {
  study: "train and evaluate many models side by side",
  bench: "benchmark kernels, layers and training, also against other libraries",
  compile: "build a single executable",
  test: "run all tests",
};

/** The overview of all commands. */
export function overview(commands: Commands): string {
  const width = Math.max(...[...Object.keys(commands), ...Object.keys(TASKS), "help"].map((name) => name.length));
  const rows = (table: Readonly<Record<string, string>>): string[] =>
    Object.entries(table).map(([name, text]) => `  ${name.padEnd(width)}  ${text}`);
  const summaries = Object.fromEntries(Object.entries(commands).map(([name, { summary }]) => [name, summary]));
  const text = [
    "Mneme trains and runs Titans, sequence models with a memory that keeps learning while it reads.",
    "",
    `usage: deno task COMMAND [flags]${STANDALONE ? "" : "     (or: deno run <permissions> main.ts COMMAND [flags])"}`,
    "",
    ...rows({ ...summaries, help: "show this help, or the help of a command" }),
    "",
    "only in a checkout of the source code:",
    ...rows(TASKS),
    "",
    "getting started:",
    "  deno task train                 train a small model on real text, then print a sample",
    '  deno task generate --prompt "The people"   generate text with the newest run',
    "",
    "help of a command: deno task COMMAND --help",
    `exit codes: ${EXIT_CODES}`,
    "",
  ].join("\n");
  return asCalled(text);
}

/** Formats examples as lines of a help text, with their descriptions in a second column. */
export function describeExamples(examples: Command["examples"]): string[] {
  const width = Math.max(...examples.map(([line]) => line.length));
  return examples.map(([line, effect]) => `  ${line.padEnd(width)}   ${effect}`);
}

/** The help text of one command. */
export function commandHelp(name: string, command: Command): string {
  const text = [
    command.description,
    "",
    `usage: deno task ${name} [flags]`,
    "",
    "examples:",
    ...describeExamples(command.examples.map(([line, effect]) => [asCalled(line), effect])),
    "",
    "flags:",
    describeFlags(command.flags),
    "",
  ].join("\n");
  return asCalled(text);
}

/** The command of a name. @throws {UsageError} with the nearest known name. */
export function findCommand(commands: Commands, name: string): Command {
  if (Object.hasOwn(commands, name)) return commands[name];
  if (Object.hasOwn(TASKS, name)) {
    throw new UsageError(`${name} is a task of a checkout, not a command: deno task ${name} there`);
  }
  throw new UsageError(
    `unknown command ${name}${
      suggestion(name, Object.keys(commands)) || `: there are ${Object.keys(commands).join(", ")}`
    }`,
  );
}

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
  /** Lines to copy, each with what it does. */
  readonly examples: readonly (readonly [command: string, effect: string])[];
  readonly flags: Flags;
  /** Whether it uses the network. Default: false. */
  readonly network?: boolean;
  /** Carries it out. @returns the exit code. */
  readonly run: (args: readonly string[], terminal: Terminal) => Promise<number>;
}

/** The commands by name. */
export type Commands = Readonly<Record<string, Command>>;

/** What is not a command because it needs the sources: a task of a checkout. */
const TASKS: Readonly<Record<string, string>> = {
  bench: "time kernels, layers and training, also against other libraries",
  compile: "make one executable of this program",
  test: "run every test",
};

/** The overview of all commands. */
export function overview(commands: Commands): string {
  const width = Math.max(...[...Object.keys(commands), ...Object.keys(TASKS), "help"].map((name) => name.length));
  const rows = (table: Readonly<Record<string, string>>): string[] =>
    Object.entries(table).map(([name, text]) => `  ${name.padEnd(width)}  ${text}`);
  const summaries = Object.fromEntries(Object.entries(commands).map(([name, { summary }]) => [name, summary]));
  const text = [
    "Mneme trains and runs Titans: sequence models whose memory keeps learning while it reads.",
    "",
    `usage: deno task COMMAND [flags]${STANDALONE ? "" : "     (or: deno run <permissions> main.ts COMMAND [flags])"}`,
    "",
    ...rows({ ...summaries, help: "show this, or with a command's name what that does" }),
    "",
    "tasks of a checkout, not commands of this program:",
    ...rows(TASKS),
    "",
    "start here:",
    "  deno task train                 train a small model on real text; ends with a sample",
    '  deno task generate --prompt "The people"   let the newest run write',
    "",
    "flags of a command: deno task COMMAND --help",
    "exit codes: 0 done, 2 misuse, 1 failure, 130 stopped by Ctrl-C, 143 by SIGTERM, 141 by a closed pipe",
    "",
  ].join("\n");
  return asCalled(text);
}

/** Examples as lines of a help text, what they do in a column of its own. */
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

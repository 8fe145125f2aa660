/** Samples that are made rather than read: each a pure function of seed, split and number. */
import { flatten, unflatten } from "../../core/tree.ts";
import { hashText, HostRng } from "../nn/host_rng.ts";
import type { BatchArray, BatchArrays } from "../train/objective.ts";
import type { RowRange, Split } from "./task.ts";

/** Splits have different seeds; the test samples are always the same. */
export function splitSeed(split: Split, seed: number): number {
  return split === "train" ? seed : split === "validation" ? seed + 1_000_000 : 20260101;
}

/** Random numbers of one sample, in the order in which they are asked for. */
export class SampleRandom {
  readonly #rng: HostRng;
  #next = 0;

  /** The numbers of a seed and a stream, such as the name of the task and the number of the sample. */
  constructor(seed: number, stream: string) {
    this.#rng = new HostRng(seed, hashText(stream));
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    return this.#rng.uniform(this.#next++);
  }

  /** A whole number from 0 to `bound` - 1. */
  integer(bound: number): number {
    return Math.floor(this.uniform() * bound);
  }

  /** One of some. */
  oneOf<T>(choices: readonly T[]): T {
    return choices[this.integer(choices.length)];
  }

  /** So many different numbers of 0 .. bound - 1, in a random order. */
  distinct(count: number, bound: number): number[] {
    const moved = new Map<number, number>();
    return Array.from({ length: count }, (_, i) => {
      const other = i + this.integer(bound - i), drawn = moved.get(other) ?? other;
      moved.set(other, moved.get(i) ?? i);
      return drawn;
    });
  }

  /** The numbers 0 .. count - 1 in a random order. */
  shuffled(count: number): number[] {
    const order = Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const other = this.integer(i + 1);
      [order[i], order[other]] = [order[other], order[i]];
    }
    return order;
  }
}

/**
 * The batches of a generator: row r of step s is sample s rows + r.
 * @param name Of the task, so that tasks of one seed differ.
 * @param sample Makes a sample, one row of the fields of a batch, of nothing but random numbers.
 * @param examples Samples of the training split, which then come again. Default: as many as are asked for.
 */
export function fromSamples<Row extends BatchArrays>(
  name: string,
  sample: (random: SampleRandom, split: Split) => Row,
  examples: number = Infinity,
): (split: Split, rows: number, seed: number) => { batch(step: number, range?: RowRange): Row } {
  return (split, rows, seed) => ({
    batch: (step, { first, count } = { first: 0, count: rows }) => {
      const start = step * rows + first, from = splitSeed(split, seed);
      const numberOf = (row: number): number => split === "train" ? row % examples : row;
      return stackRows(
        Array.from(
          { length: count },
          (_, i) => sample(new SampleRandom(from, `${name} ${numberOf(start + i)}`), split),
        ),
      );
    },
  });
}

/** Rows under each other, field by field. */
function stackRows<Row extends BatchArrays>(rows: readonly Row[]): Row {
  const isArray = (value: unknown): value is BatchArray => ArrayBuffer.isView(value);
  const each = rows.map((row) => flatten(row, isArray));
  const stacked = each[0].leaves.map((leaf, field) => {
    const size = leaf.length * rows.length;
    const whole = leaf instanceof Int32Array ? new Int32Array(size) : new Float32Array(size);
    each.forEach(({ leaves }, row) => whole.set(leaves[field], row * leaf.length));
    return whole;
  });
  return unflatten(each[0].spec, stacked) as unknown as Row;
}

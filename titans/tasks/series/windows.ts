/**
 * The protocol of the ETT benchmarks: rows split in three, standardised by what is trained on, and cut into all windows
 * of `lookback` rows and the `horizon` rows after them.
 *
 *     train        [0, a)                  windows: rows - lookback - horizon + 1 of each part
 *     validation   [a - lookback, b)
 *     test         [c - lookback, d)       a forecast of the first row of a part may look back into the one before
 */
import { ConfigError } from "../../errors.ts";
import { SampleRandom } from "../samples.ts";
import type { Split } from "../task.ts";
import type { Frame } from "./frame.ts";
import type { WindowOptions } from "./options.ts";

/** Rows of a part, [from, to). */
export interface RowSpan {
  /** The first row. */
  readonly from: number;
  /** The row after the last. */
  readonly to: number;
}

/** Months of 30 days of the hourly ETT files. */
const ETT_HOURS = { train: 12 * 30 * 24, validation: 4 * 30 * 24 };

/** The rows of each part, those included that are only looked back to. */
export function bordersOf(
  rows: number,
  { lookback, borders }: Pick<WindowOptions, "lookback" | "borders">,
  file: string,
): Readonly<Record<Split, RowSpan>> {
  const kind = borders !== "auto" ? borders : /ETTh\d/.test(file) ? "etth" : /ETTm\d/.test(file) ? "ettm" : "share";
  const factor = kind === "ettm" ? 4 : 1, train = ETT_HOURS.train * factor, validation = ETT_HOURS.validation * factor;
  const test = Math.floor(0.2 * rows);
  const [a, b, d] = kind === "share"
    ? [Math.floor(0.7 * rows), rows - test, rows]
    : [train, train + validation, train + 2 * validation];
  if (d > rows) {
    throw new ConfigError(
      `Cannot split ${file} as ${kind}: it has ${rows} rows, that takes ${d}; give the option borders=share`,
      "borders",
    );
  }
  return {
    train: { from: 0, to: a },
    validation: { from: a - lookback, to: b },
    test: { from: b - lookback, to: d },
  };
}

/** Windows of standardised series. */
export class SeriesWindows {
  /** What they are of. */
  readonly frame: Frame;
  /** Rows that are read and rows that are to be forecast. */
  readonly lookback: number;
  /** Rows to forecast. */
  readonly horizon: number;
  /** Rows of each part. */
  readonly spans: Readonly<Record<Split, RowSpan>>;
  /** Mean of each column over the rows to train on. */
  readonly means: Float64Array;
  /** Population standard deviation of each column over the same rows; 1 of one that is constant there. */
  readonly deviations: Float64Array;
  /** The standardised values, row-major [rows, columns]. */
  readonly scaled: Float64Array;

  /** @throws {ConfigError} if a part has no window. */
  constructor(frame: Frame, options: WindowOptions) {
    const { lookback, horizon } = options, { values, rows, names: { length: C } } = frame;
    this.frame = frame;
    this.lookback = lookback;
    this.horizon = horizon;
    this.spans = bordersOf(rows, options, frame.name);
    for (const split of ["train", "validation", "test"] as const) {
      if (this.count(split) >= 1) continue;
      const { from, to } = this.spans[split], seen = to - Math.max(0, from);
      throw new ConfigError(
        `Cannot cut ${frame.name} into windows of ${lookback} and ${horizon} rows: its part for ${split} has ${seen} of the ${rows} rows, and one window takes ${
          lookback + horizon
        }; give a smaller horizon or lookback, or more rows`,
        "horizon",
      );
    }
    const { to } = this.spans.train;
    [this.means, this.deviations] = momentsOf(values.subarray(0, to * C), C);
    this.scaled = values.map((value, i) => (value - this.means[i % C]) / this.deviations[i % C]);
  }

  /** How many windows a part has. */
  count(split: Split): number {
    const { from, to } = this.spans[split];
    return from < 0 ? 0 : Math.max(0, to - from - this.lookback - this.horizon + 1);
  }

  /**
   * A window of a part, from 0: window i of an order in which the first ones, however many, are spread over the part.
   */
  spread(split: Split, i: number): number {
    const total = this.count(split);
    this.#strides[split] ??= goldenStride(total);
    return i * this.#strides[split] % total;
  }

  readonly #strides: Partial<Record<Split, number>> = {};

  /**
   * The windows of a batch, undefined where the part has no more: in the order of {@link spread}, of training in another
   * order in each epoch. With `channels` above one, each window comes once per channel.
   */
  starts(
    split: Split,
    seed: number,
    { first, count, channels }: { readonly first: number; readonly count: number; readonly channels: number },
  ): (Place | undefined)[] {
    const total = this.count(split) * channels, { from } = this.spans[split];
    return Array.from({ length: count }, (_, i) => {
      const at = first + i;
      if (split !== "train" && at >= total) return undefined;
      if (split !== "train") {
        return { row: from + this.spread(split, Math.floor(at / channels)), channel: at % channels };
      }
      const sample = this.#order(total, seed, Math.floor(at / total))[at % total];
      return { row: from + Math.floor(sample / channels), channel: sample % channels };
    });
  }

  #epoch?: { readonly key: string; readonly order: readonly number[] };

  /** The order of an epoch, kept while it lasts. */
  #order(total: number, seed: number, epoch: number): readonly number[] {
    const key = `${total} ${seed} ${epoch}`;
    if (this.#epoch?.key !== key) {
      this.#epoch = { key, order: new SampleRandom(seed, `series ${epoch}`).shuffled(total) };
    }
    return this.#epoch.order;
  }
}

/** The number that has no divisor in common with `total` and is nearest to its golden section. */
function goldenStride(total: number): number {
  const divisor = (a: number, b: number): number => b === 0 ? a : divisor(b, a % b);
  const near = Math.max(1, Math.round(total * (Math.sqrt(5) - 1) / 2));
  for (let off = 0;; off++) {
    for (const stride of [near + off, near - off]) if (stride > 0 && divisor(total, stride) === 1) return stride;
  }
}

/** A window: its first row, and of channels by themselves which one. */
export interface Place {
  /** The first row that is read. */
  readonly row: number;
  /** The column, from 0. */
  readonly channel: number;
}

/** Mean and population deviation of each of C columns. */
export function momentsOf(values: Float64Array, C: number): [means: Float64Array, deviations: Float64Array] {
  const rows = values.length / C, means = new Float64Array(C), squares = new Float64Array(C);
  values.forEach((value, i) => means[i % C] += value / rows);
  values.forEach((value, i) => squares[i % C] += (value - means[i % C]) ** 2 / rows);
  // The deviation of a constant is what rounding leaves of it.
  return [means, squares.map((square, c) => Math.sqrt(square) > 1e-12 * Math.abs(means[c]) ? Math.sqrt(square) : 1)];
}

/** Stores long series of measurements in little memory, for plots. */

/** A point of a curve. */
export interface Point {
  /** The step of the last measurement in it. */
  readonly step: number;
  /** The mean of the measurements in it. */
  readonly value: number;
}

interface Bucket {
  step: number;
  sum: number;
  count: number;
}

/**
 * A series that keeps at most a few hundred points, whatever its length: neighbours are averaged when it gets too long.
 */
export class Curve {
  #buckets: Bucket[] = [];
  #perBucket = 1;

  /** @param limit Maximum number of points kept; even. */
  constructor(readonly limit: number = 512) {}

  /** Adds a measurement. NaN and infinities are ignored. */
  add(step: number, value: number): void {
    if (!Number.isFinite(value)) return;
    const last = this.#buckets.at(-1);
    if (last && last.count < this.#perBucket) {
      last.step = step;
      last.sum += value;
      last.count++;
      return;
    }
    if (this.#buckets.length === this.limit) this.#halve();
    this.#buckets.push({ step, sum: value, count: 1 });
  }

  #halve(): void {
    const pairs: Bucket[] = [];
    for (let i = 0; i < this.#buckets.length; i += 2) {
      const a = this.#buckets[i], b = this.#buckets[i + 1];
      pairs.push({ step: b.step, sum: a.sum + b.sum, count: a.count + b.count });
    }
    this.#buckets = pairs;
    this.#perBucket *= 2;
  }

  /** The points, ordered by step. */
  get points(): readonly Point[] {
    return this.#buckets.map(({ step, sum, count }) => ({ step, value: sum / count }));
  }
}

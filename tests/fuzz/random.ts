/** Choices from a seed. */
import { uniformGenerator } from "../numeric.ts";

/** A source of choices: the same seed makes the same ones. */
export class Random {
  readonly #next: () => number;

  constructor(seed: number) {
    // Neighbouring seeds would start alike, so the first numbers are passed over.
    this.#next = uniformGenerator(Math.imul(seed + 1, 0x9E3779B1));
    for (let i = 0; i < 4; i++) this.#next();
  }

  /** A number in [0, 1). */
  unit(): number {
    return this.#next();
  }

  /** Whether something of this probability happens. */
  chance(probability: number): boolean {
    return this.#next() < probability;
  }

  /** A whole number from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.#next() * (high - low + 1));
  }

  /** A number between two, with few digits, so that programs are easy to read. */
  number(low: number, high: number): number {
    return Number((low + (high - low) * this.#next()).toPrecision(3));
  }

  /** One of a list. */
  of<T>(list: readonly T[]): T {
    return list[Math.floor(this.#next() * list.length)];
  }

  /** One of a list by weight. */
  weighted<T>(list: readonly (readonly [weight: number, item: T])[]): T {
    let rest = this.#next() * list.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, item] of list) if ((rest -= weight) < 0) return item;
    return list[list.length - 1][1];
  }

  /** The numbers 0 .. count - 1 in random order. */
  permutation(count: number): number[] {
    const order = Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const j = this.integer(0, i);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  /** Some of the numbers 0 .. count - 1, at least `least` of them, rising. */
  subset(count: number, least = 1): number[] {
    return this.permutation(count).slice(0, this.integer(Math.min(least, count), count)).sort((a, b) => a - b);
  }

  /** A seed for something else. */
  seed(): number {
    return Math.floor(this.#next() * 2 ** 31);
  }
}

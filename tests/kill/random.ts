/** Choices that depend on a seed only. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed % 2147483646 + 1;
    this.below(1);
  }

  /** A number from 0 up to a bound. */
  below(bound: number): number {
    this.#state = this.#state * 48271 % 2147483647;
    return this.#state / 2147483647 * bound;
  }

  /** A whole number from 0 up to a bound. */
  integer(bound: number): number {
    return Math.floor(this.below(bound));
  }

  /** Whether something of this probability happens. */
  chance(probability: number): boolean {
    return this.below(1) < probability;
  }

  /** One of some things, by their weights. */
  choose<T extends string>(weights: Readonly<Partial<Record<T, number>>>): T {
    const entries = Object.entries(weights) as [T, number][];
    let left = this.below(entries.reduce((sum, [, weight]) => sum + weight, 0));
    return (entries.find(([, weight]) => (left -= weight) < 0) ?? entries[0])[0];
  }
}

/** Measures the speed of a run. */

/**
 * Measures rounds of steps. The first round is discarded once there is another, because it includes compilation.
 */
export class Speed {
  /** Smoothed over some rounds. */
  #secondsPerStep = 0;
  #rounds = 0;

  /**
   * @param tokensPerStep Number of tokens per step.
   * @param now The clock in milliseconds.
   */
  constructor(readonly tokensPerStep: number, readonly now: () => number = () => performance.now()) {}

  /** Runs and measures a round. */
  async measure<T>(steps: number, round: () => Promise<T>): Promise<T> {
    const before = this.now();
    const result = await round();
    const perStep = (this.now() - before) / 1000 / steps;
    this.#secondsPerStep = this.#rounds < 2 ? perStep : 0.8 * this.#secondsPerStep + 0.2 * perStep;
    this.#rounds++;
    return result;
  }

  /** Recent seconds per step; 0 before the first. */
  get secondsPerStep(): number {
    return this.#secondsPerStep;
  }

  /** Recent tokens per second. */
  get tokensPerSecond(): number {
    return this.#secondsPerStep > 0 ? this.tokensPerStep / this.#secondsPerStep : 0;
  }

  /** How many steps fit in a time, at least 1. */
  stepsIn(milliseconds: number, most: number): number {
    if (this.#secondsPerStep === 0) return 1;
    return Math.max(1, Math.min(most, Math.floor(milliseconds / 1000 / this.#secondsPerStep)));
  }
}

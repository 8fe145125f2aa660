/** How fast a run is. */

/**
 * Measures rounds of steps. The first round is not counted once there is another: kernels are still being compiled in
 * it.
 */
export class Speed {
  /** Smoothed over some rounds. */
  #secondsPerStep = 0;
  #rounds = 0;

  /**
   * @param tokensPerStep What one step learns from.
   * @param now The clock in milliseconds.
   */
  constructor(readonly tokensPerStep: number, readonly now: () => number = () => performance.now()) {}

  /** Runs a round and counts it. */
  async measure<T>(steps: number, round: () => Promise<T>): Promise<T> {
    const before = this.now();
    const result = await round();
    const perStep = (this.now() - before) / 1000 / steps;
    this.#secondsPerStep = this.#rounds < 2 ? perStep : 0.8 * this.#secondsPerStep + 0.2 * perStep;
    this.#rounds++;
    return result;
  }

  /** Seconds a step, of late; 0 before the first. */
  get secondsPerStep(): number {
    return this.#secondsPerStep;
  }

  /** Tokens a second, of late. */
  get tokensPerSecond(): number {
    return this.#secondsPerStep > 0 ? this.tokensPerStep / this.#secondsPerStep : 0;
  }

  /** How many steps fit in a time, at least 1. */
  stepsIn(milliseconds: number, most: number): number {
    if (this.#secondsPerStep === 0) return 1;
    return Math.max(1, Math.min(most, Math.floor(milliseconds / 1000 / this.#secondsPerStep)));
  }
}

/** Ends a text where a stop string would appear, whatever tokens it comes in. */

/** A text that is shown as soon as it is sure to be no part of a stop string. */
export class StopText {
  readonly #stops: readonly string[];
  #held = "";
  #ended = false;

  /** @param stops Texts that are not empty. */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** Whether a stop string has appeared. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Takes a piece. @returns what is sure now; nothing after the end. */
  next(piece: string): string {
    if (this.#ended) return "";
    this.#held += piece;
    const at = Math.min(...this.#stops.map((stop) => this.#held.indexOf(stop)).filter((found) => found >= 0));
    this.#ended = at < Infinity;
    const sure = this.#ended ? at : this.#held.length - this.#undecided();
    const text = this.#held.slice(0, sure);
    this.#held = this.#ended ? "" : this.#held.slice(sure);
    return text;
  }

  /** What is left when no more comes. */
  end(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }

  /** The most letters at the end with which a stop string may begin. */
  #undecided(): number {
    const longest = (stop: string): number => {
      for (let length = Math.min(stop.length - 1, this.#held.length); length > 0; length--) {
        if (this.#held.endsWith(stop.slice(0, length))) return length;
      }
      return 0;
    };
    return Math.max(0, ...this.#stops.map(longest));
  }
}

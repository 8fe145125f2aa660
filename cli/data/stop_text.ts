/** Ends a text before a stop string, independent of token boundaries. */

/** Releases text as soon as it cannot be part of a stop string. */
export class StopText {
  readonly #stops: readonly string[];
  #held = "";
  #ended = false;

  /** @param stops Non-empty strings. */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** Whether a stop string has appeared. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Adds a piece. @returns The text that can be released; nothing after the end. */
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

  /** The remaining text at the end. */
  end(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }

  /** Length of the longest suffix that is a prefix of a stop string. */
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

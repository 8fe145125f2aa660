/** What a benchmark says while it works, on standard error. */
import { formatDuration } from "../../cli/progress.ts";

/** Counts what is done and guesses how long the rest takes. */
export class Progress {
  #started = performance.now();
  #done = 0;

  /**
   * @param total Things to do.
   * @param write Where lines go.
   */
  constructor(readonly total: number, readonly write: (line: string) => void) {}

  /** Says that the next thing begins. */
  next(what: string): void {
    const elapsed = (performance.now() - this.#started) / 1000;
    const rest = this.#done === 0 ? "" : `, ETA ${formatDuration((elapsed / this.#done) * (this.total - this.#done))}`;
    this.write(`[${++this.#done}/${this.total}] ${formatDuration(elapsed)}${rest}: ${what}\n`);
  }
}

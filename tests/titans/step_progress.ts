/** How far long training is, on standard error. */
import { formatDuration } from "../../cli/progress.ts";

const SHOW_MS = 10_000;

/** Counts the steps of one run or several, and guesses how long the rest takes. */
export class StepProgress {
  #started = performance.now();
  #shown = -Infinity;
  #done = 0;

  /**
   * @param total Steps of all runs.
   * @param known Those that were made before.
   * @param write Where lines go.
   * @param now The clock in milliseconds.
   */
  constructor(
    readonly total: number,
    readonly known = 0,
    readonly write: (line: string) => void = console.error,
    readonly now: () => number = () => performance.now(),
  ) {
    this.#started = now();
  }

  /** Takes note of an event of `train`, of which steps count, and shows one every ten seconds. */
  see({ event, step, loss }: Record<string, unknown>, run: string): void {
    if (event !== "step") return;
    this.#done++;
    const now = this.now(), done = this.known + this.#done;
    if (now - this.#shown < SHOW_MS && done < this.total) return;
    this.#shown = now;
    const rest = (now - this.#started) / 1000 / this.#done * (this.total - done);
    this.write(
      `[${done}/${this.total}] ${run}: step ${step}, loss ${Number(loss).toFixed(3)}, ETA ${formatDuration(rest)}`,
    );
  }
}

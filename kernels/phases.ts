/** The phases of a compilation, timed. */

/**
 * A phase of a compilation, in their order: `trace` calls the function and builds gradients, `simplify`, `schedule` and
 * `plan` are the passes over its graph, `print` writes the kernels, `compile` is the device's compiler, and `start`
 * gets the program ready to be launched.
 */
export type CompilePhase = "trace" | "simplify" | "schedule" | "plan" | "print" | "compile" | "start";

/** Receives each phase when it has ended, with the milliseconds it took. */
export type PhaseListener = (phase: CompilePhase, milliseconds: number) => void;

/** Reports phases that follow one another. */
export class PhaseTimer {
  readonly #listener: PhaseListener | undefined;
  #started: number;

  /** The first phase begins now. */
  constructor(listener: PhaseListener | undefined) {
    this.#listener = listener;
    this.#started = performance.now();
  }

  /** Reports a phase that ends now; the next one begins. */
  end(phase: CompilePhase): void {
    const now = performance.now();
    this.#listener?.(phase, now - this.#started);
    this.#started = now;
  }
}

/** A position that moves by itself: slowly where something happens, fast elsewhere. */

/** How long a position stays, in milliseconds. */
export type Pace = (at: number) => number;

/** Plays positions from 0 to an end. */
export class Player {
  readonly #show: (at: number) => void;
  #pace: Pace = () => 10;
  #end = 0;
  #at = 0;
  #frame = 0;
  #last = 0;

  /** @param show Called with each position that is shown, also while it does not play. */
  constructor(show: (at: number) => void) {
    this.#show = show;
  }

  get at(): number {
    return this.#at;
  }

  get isPlaying(): boolean {
    return this.#frame !== 0;
  }

  /** Starts afresh, at position 0. */
  reset(pace: Pace): void {
    this.pause();
    this.#pace = pace;
    this.#at = this.#end = 0;
  }

  /** Lets it play up to a position; it waits there for more. */
  extend(end: number): void {
    this.#end = end;
  }

  /** Goes to a position. */
  seek(at: number): void {
    this.#at = Math.max(0, Math.min(at, this.#end));
    this.#show(this.#at);
  }

  play(): void {
    if (this.isPlaying) return;
    this.#last = performance.now();
    this.#frame = requestAnimationFrame((now) => this.#turn(now));
  }

  pause(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  #turn(now: number): void {
    let at = this.#at;
    while (at < this.#end && this.#last + this.#pace(at) <= now) this.#last += this.#pace(at++);
    if (at === this.#end) this.#last = now;
    this.#frame = requestAnimationFrame((next) => this.#turn(next));
    if (at !== this.#at) this.seek(at);
  }
}

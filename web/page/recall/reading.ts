/** What has been seen of a reading so far. */
import type { Distribution } from "./protocol.ts";
import type { Story } from "./story.ts";

/** A story, and all that was seen while it was read. */
export class Reading {
  readonly story: Story;
  readonly side: number;
  readonly heads: number;
  readonly #memory: Float32Array;
  #start: Float32Array;
  readonly #moved: Float32Array;
  /** What would be answered, by the number of bytes that were read. */
  readonly #asked = new Map<number, Distribution>();
  /** How many bytes have been read. */
  bytesRead = 0;
  #largest = 1e-6;
  /** The answer of a memory that has read nothing but the question. */
  without?: Distribution;

  constructor(story: Story, { side, heads }: { readonly side: number; readonly heads: number }) {
    this.story = story;
    this.side = side;
    this.heads = heads;
    this.#memory = new Float32Array(story.text.length * side * side);
    this.#start = new Float32Array(side * side);
    this.#moved = new Float32Array(story.text.length * heads);
  }

  /** Takes the matrix before the first byte. */
  begin(memory: Float32Array): void {
    this.#start = memory;
    this.#largest = largestOf(memory);
  }

  /** Adds what was seen of the bytes from `from` on. */
  add(from: number, { memory, moved }: { readonly memory: Float32Array; readonly moved: Float32Array }): void {
    this.#memory.set(memory, from * this.side * this.side);
    this.#moved.set(moved, from * this.heads);
    this.#largest = largestOf(memory.subarray(memory.length - this.side * this.side));
    this.bytesRead = from + moved.length / this.heads;
  }

  /** The largest weight after the last byte that was read. */
  get largest(): number {
    return this.#largest;
  }

  /** Adds what would be answered after `at` bytes. */
  ask(at: number, answer: Distribution): void {
    this.#asked.set(at, answer);
  }

  /** The matrix after a byte, or before the first one. */
  matrix(at: number): Float32Array {
    const size = this.side * this.side;
    return at < 0 ? this.#start : this.#memory.subarray(at * size, (at + 1) * size);
  }

  /** How far a head's matrix moved at each byte that was read. */
  moved(head: number): Float32Array {
    return Float32Array.from({ length: this.bytesRead }, (_, at) => this.#moved[at * this.heads + head]);
  }

  /** What would be answered if the question were asked after `count` bytes, as far as it was tried. */
  answerAfter(count: number): Distribution | undefined {
    let last: Distribution | undefined;
    for (const [at, answer] of this.#asked) if (at <= count) last = answer;
    return last;
  }

  /** The probability of the right answer if it were asked after each byte, NaN where that was not tried. */
  rightAfterEach(): Float64Array {
    const right = this.story.answer.charCodeAt(0), values = new Float64Array(this.story.text.length + 1).fill(NaN);
    for (const [at, answer] of this.#asked) values[at] = answer[right];
    return values;
  }
}

/** The largest weight, never 0. */
function largestOf(memory: Float32Array): number {
  return memory.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
}

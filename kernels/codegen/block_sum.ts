/** Block-wise summation for long sums (see long_sums.ts). */
import { MAX_TERMS, SUM_BLOCK } from "../long_sums.ts";
import { f, splat } from "./lanes.ts";
import type { Local, Value, Writer } from "./writer.ts";

/** A running total over blocks of terms. With many blocks, the partial sums are themselves summed in blocks. */
export class BlockSum {
  readonly #sum: Local;
  readonly #earlier: Local | undefined;

  /**
   * Initializes the total to 0.
   * @param block The local that accumulates the current block.
   * @param terms Number of terms in the whole sum.
   */
  constructor(readonly w: Writer, readonly block: Local, terms: number) {
    this.#sum = w.newLocal(block);
    this.#clear(this.#sum);
    if (terms <= MAX_TERMS) return;
    this.#earlier = w.newLocal(block);
    this.#clear(this.#earlier);
  }

  /** The sum of all flushed blocks. */
  get value(): Value {
    const sum = this.w.read(this.#sum);
    return this.#earlier === undefined ? sum : f(this.w, "add", this.w.read(this.#earlier), sum);
  }

  /** Adds the current block, whose first term has index `first`, to the total and resets the block to 0. */
  flush(first: Value): void {
    const { w, block } = this, earlier = this.#earlier;
    w.assign(this.#sum, f(w, "add", w.read(this.#sum), w.read(block)));
    this.#clear(block);
    if (earlier === undefined) return;
    const place = w.op("bits.and", [first, w.literal(MAX_TERMS - 1, "i32")]);
    w.when(w.op("i32.eq", [place, w.literal(MAX_TERMS - SUM_BLOCK, "i32")]), () => {
      w.assign(earlier, f(w, "add", w.read(earlier), w.read(this.#sum)));
      this.#clear(this.#sum);
    });
  }

  /** Stores the total in the block's local. The block must have been flushed. */
  finish(): void {
    this.w.assign(this.block, this.value);
  }

  #clear(local: Local): void {
    this.w.assign(local, splat(this.w, this.w.literal(0, "f32"), local.width));
  }
}

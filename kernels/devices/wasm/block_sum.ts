/** Sums of blocks, for sums of many terms (long_sums.ts). */
import { MAX_TERMS, SUM_BLOCK } from "../../long_sums.ts";
import { f, splat } from "./lanes.ts";
import { type ResultType, type Value, wasmType, type Writer } from "./writer.ts";

const I32 = { dtype: "i32", width: 1 } as const;

/** The sum of what blocks of terms summed, itself in blocks where these are many. */
export class BlockSum {
  readonly #sum: number;
  readonly #earlier: number | undefined;

  /**
   * Starts with 0.
   * @param block The local in which a block is summed.
   * @param terms Terms of the whole sum.
   */
  constructor(readonly w: Writer, readonly block: number, readonly type: ResultType, terms: number) {
    this.#sum = w.newLocal(wasmType(type));
    this.#clear(this.#sum);
    if (terms <= MAX_TERMS) return;
    this.#earlier = w.newLocal(wasmType(type));
    this.#clear(this.#earlier);
  }

  /** The sum of all finished blocks. */
  get value(): Value {
    const sum = this.w.read(this.#sum, this.type);
    return this.#earlier === undefined ? sum : f(this.w, "add", this.w.read(this.#earlier, this.type), sum);
  }

  /** Adds the block, whose first term has the number `first`, and starts the next one with 0. */
  flush(first: Value): void {
    const { w, type, block } = this, earlier = this.#earlier;
    w.assign(this.#sum, f(w, "add", w.read(this.#sum, type), w.read(block, type)));
    this.#clear(block);
    if (earlier === undefined) return;
    const place = w.op("i32.and", [first, w.literal(MAX_TERMS - 1, "i32")], I32);
    w.when(w.op("i32.eq", [place, w.literal(MAX_TERMS - SUM_BLOCK, "i32")], I32), () => {
      w.assign(earlier, f(w, "add", w.read(earlier, type), w.read(this.#sum, type)));
      this.#clear(this.#sum);
    });
  }

  /** Puts the sum of all blocks in the place of the block, which has been flushed. */
  finish(): void {
    this.w.assign(this.block, this.value);
  }

  #clear(local: number): void {
    this.w.assign(local, splat(this.w, this.w.literal(0, "f32"), this.type.width));
  }
}

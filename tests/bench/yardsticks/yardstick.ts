/** What our kernels are measured by: the same work, or the same bound, written by hand and timed in turns with them. */
import type { Timed } from "../measure.ts";

/** Something written by hand. */
export interface Yardstick extends Timed {
  readonly name: string;
  /** Operations of a run, where arithmetic is the bound. */
  readonly flops?: number;
  /** Bytes that a run moves, where memory is. */
  readonly bytes?: number;
  /** Its result, where it does the same as the case: it must be right too. */
  read?(): Promise<ArrayLike<number>>;
  dispose(): void;
}

/** The extents of a batched product `[batch, m, k] [batch, k, n]`. */
export interface ProductShape {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

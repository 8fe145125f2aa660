/** Properties of the machine that code is generated for. */

/** Rows and columns of a product whose sums are in registers; columns are whole vectors. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
}

/** The machine that runs what is printed. */
export interface Target {
  /** Elements of 32 bits in a vector, W: a power of two, at least 4. */
  readonly lanes: number;
  /** Whether `x y + z` of vectors is one operation that rounds once. */
  readonly fused: boolean;
  /**
   * The two tiles of matrix products. The wide one has as many accumulators as hide the latency of the multiply-add and
   * still fit in registers; the narrow one, of the same height or higher, covers what is no multiple of the wide one.
   */
  readonly tiles: { readonly wide: Tile; readonly narrow: Tile };
  /** Threads that will run the code, which block sizes consider. Results do not depend on it. Default: 1. */
  readonly threads?: number;
}

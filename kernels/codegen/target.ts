/** Properties of the machine that code is generated for. */

/** Rows and columns of a product whose sums are in registers; columns are whole vectors. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
}

/** The machine that runs the generated code. */
export interface Target {
  /** Number of 32-bit elements in a vector, W: a power of two, at least 4. */
  readonly lanes: number;
  /** Whether vector `x y + z` is a single operation with a single rounding. */
  readonly fused: boolean;
  /**
   * The two tiles of matrix products. The wide one has enough accumulators to hide the latency of the multiply-add and
   * few enough to fit in registers; the narrow one, with at least as many rows, covers remainders of the wide one.
   */
  readonly tiles: { readonly wide: Tile; readonly narrow: Tile };
  /** Number of threads that will run the code, used to choose block sizes. Results do not depend on it. Default: 1. */
  readonly threads?: number;
}

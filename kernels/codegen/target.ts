/** Properties of the machine that code is generated for. */

/** Rows and columns of a product whose sums are in registers; columns are whole vectors. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
}

/** The two tiles of a matrix product. */
export interface Tiles {
  /** Has enough accumulators to hide the latency of the multiply-add and few enough to fit in registers. */
  readonly wide: Tile;
  /** Covers remainders of the wide one; has at least as many rows. */
  readonly narrow: Tile;
}

/** The loops of a matrix product. */
export interface Blocking {
  /** Steps of k in a turn of the innermost loop: a power of two. Unrolled addresses are immediates. */
  readonly unroll: number;
  /** Maximum number of columns that are packed together. */
  readonly maxColumns: number;
}

/** The machine that runs the generated code. */
export interface Target {
  /** Number of 32-bit elements in a vector, W: a power of two, at least 4. */
  readonly lanes: number;
  /** Whether vector `x y + z` is a single operation with a single rounding. */
  readonly fused: boolean;
  /** Whether vectors of indices are computed, and elements loaded and stored at them, as single operations. */
  readonly gathers: boolean;
  /**
   * The tiles of matrix products. A product takes those that cover its columns with the least remainder, of several
   * that do the first. Results do not depend on them.
   */
  readonly tiles: readonly [Tiles, ...Tiles[]];
  /** The blocking of products. Results do not depend on it. */
  readonly blocking?: Blocking;
  /** That of large products, where it differs. */
  readonly largeBlocking?: Blocking;
  /**
   * Rows up to which a product reads its columns in place: packing them would cost more than it saves. Results do not
   * depend on it. Default: two narrow tiles.
   */
  readonly fewRows?: number;
  /** Number of threads that will run the code, used to choose block sizes. Results do not depend on it. Default: 1. */
  readonly threads?: number;
}

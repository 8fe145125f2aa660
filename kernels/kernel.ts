/**
 * Kernels as plain data, independent of devices: an index space, expressions over it, and stores.
 *
 * A kernel refers to its tensors by operand number; a schedule step maps operands to values. Kernels contain no
 * addresses, so equal kernels at different addresses share one shader. Index expressions may read the variables of
 * enclosing rolled loops (`loops`), which are run-time values.
 */
import type { DType } from "../core/dtype.ts";
import type { Expr } from "../core/expr.ts";
import type { Index, Var } from "../core/index_expr.ts";

/** A tensor that a kernel reads or writes. Loads and stores address it by row-major element offset. */
export interface Operand {
  readonly dtype: DType;
  /** Elements that can be addressed: every index lies in `0 .. size - 1` where its element is used. */
  readonly size: number;
  /** `readwrite` is an operand updated in place. */
  readonly access: "read" | "write" | "readwrite";
}

/** Writes `value` to an element offset of an operand. */
export interface Store {
  readonly operand: number;
  readonly index: Index;
  readonly value: Expr;
}

interface KernelBase {
  readonly operands: readonly Operand[];
  /** Variables of the enclosing rolled loops that indices may read, outermost first. */
  readonly loops: readonly Var[];
  /** The ops that were fused, in topological order, as users know them: `matmul`, `add`, `gelu`. */
  readonly origins: readonly string[];
}

/**
 * Elementwise over `space`: each point evaluates all its values, then stores them. No `reduce` inside. Fused views and
 * gathers are index expressions.
 */
export interface MapKernel extends KernelBase {
  readonly kind: "map";
  readonly space: readonly Var[];
  readonly stores: readonly Store[];
}

/**
 * For each point of `space`: reductions over `row`, perhaps several that depend on each other, then stores. Each
 * `reduce` expression in the stores binds `row`; a reduction inside another one's body is an earlier pass. Stores in
 * `elementStores` run for every value of `row`, those in `rowStores` once.
 */
export interface RowKernel extends KernelBase {
  readonly kind: "row";
  readonly space: readonly Var[];
  readonly row: Var;
  readonly rowStores: readonly Store[];
  readonly elementStores: readonly Store[];
}

/**
 * A region of a kernel's space: the points at which all of these indices are nonnegative. Each index is a sum of
 * variables (the kernel's and those of its loops) and of floored quotients of such sums by constants, so its extremes
 * over a box are at the box's corners.
 */
export type Band = readonly Index[];

/**
 * `accumulator = sum over k of lhs(batch, m, k) * rhs(batch, k, n)`, then stores over (batch, m, n). f32 accumulation.
 */
export interface ContractKernel extends KernelBase {
  readonly kind: "contract";
  readonly batch: readonly Var[];
  readonly m: Var;
  readonly n: Var;
  readonly k: Var;
  readonly lhs: Expr;
  readonly rhs: Expr;
  readonly stores: readonly Store[];
  /**
   * Where terms (batch, m, n, k) are unmasked: in the union of these bands. Elsewhere, a factor of the term is zero, or
   * the sum that it belongs to is never read. Printers may skip masked terms, tile by tile, but need not. Zero times
   * infinity or NaN may therefore count as zero: masked elements are not evaluated. Empty if all terms are unmasked.
   */
  readonly mask: readonly Band[];
}

/** What one state of a recurrence kernel does in a step: `state_t = a_t state_{t-1} + b_t`. */
export interface RecurrenceState {
  readonly a: Expr;
  readonly b: Expr;
}

/**
 * States that are updated along `time` (from the end if `reverse`) for each point of `space`, each zero before its
 * first step. Within a step they are computed in order, and `accumulator` expressions in a state's `a` and `b` refer to
 * earlier states after the same step. The stores run after every step.
 */
export interface RecurrenceKernel extends KernelBase {
  readonly kind: "recurrence";
  readonly space: readonly Var[];
  readonly time: Var;
  readonly reverse: boolean;
  readonly states: readonly RecurrenceState[];
  readonly stores: readonly Store[];
}

/**
 * For each point of `space`, for `position` ascending: where `valid` holds, `operand[index] += update`. `index` reads
 * `position` only through run-time values. Points of `space` never touch the same element, so no atomics are needed.
 * The operand was initialised by an earlier step.
 */
export interface ScatterKernel extends KernelBase {
  readonly kind: "scatter";
  readonly space: readonly Var[];
  readonly position: Var;
  readonly target: number;
  readonly index: Index;
  readonly valid: Expr;
  readonly update: Expr;
}

/** A kernel. */
export type Kernel = MapKernel | RowKernel | ContractKernel | RecurrenceKernel | ScatterKernel;

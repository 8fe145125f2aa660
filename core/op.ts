/** The definition of a primitive: one {@link OpDef} holds everything about it. */
import type { Type } from "./dtype.ts";
import type { Combine, Expr, ExprBuilder } from "./expr.ts";
import type { Graph, Node, Tensor } from "./graph.ts";
import type { Index } from "./index_expr.ts";
import type { Shape } from "./shape.ts";

/** An attribute of a node: plain data, a typed array of constants, or the body of a loop. */
export type Attr = number | string | boolean | undefined | readonly Attr[] | Float64Array | Graph | {
  readonly [key: string]: Attr;
};

/** The attributes of a node, by name. */
export type Attrs = { readonly [key: string]: Attr };

/** A value of the f64 interpreter: row-major, every dtype held in doubles (bool as 0 or 1). */
export interface NdArray extends Type {
  readonly data: Float64Array;
}

/** The information that a vjp receives about the node it differentiates. */
export interface VjpCall<A> {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attrs: A;
  /** The gradient of the final scalar with respect to each output; undefined where none arrives. */
  readonly cotangents: readonly (Tensor | undefined)[];
  /** Which inputs need a gradient. */
  readonly needs: readonly boolean[];
}

/** Builds the cotangents of the inputs as graph nodes; undefined for an input that gets none. */
export type Vjp<A> = (call: VjpCall<A>) => readonly (Tensor | undefined)[];

/** Why a primitive has no gradient. `zero` means that the gradient is zero rather than undefined. */
export interface NoGradient {
  readonly zero: boolean;
  readonly reason: string;
}

interface OpBase<A> {
  readonly name: string;
  /** The types of the outputs. @throws ShapeError or DTypeError at the user's line. */
  readonly infer: (inputs: readonly Type[], attrs: A) => readonly Type[];
  /** The values of the outputs in plain f64 JavaScript, independent of `lower`. */
  readonly reference: (inputs: readonly NdArray[], attrs: A, outputs: readonly Type[]) => readonly Float64Array[];
  readonly vjp: Vjp<A> | NoGradient;
  /** A simpler tensor with the same value, or undefined. Called with inputs that are already simplified. */
  readonly rewrite?: (inputs: readonly Tensor[], attrs: A) => Tensor | undefined;
}

/**
 * Elementwise: all inputs have the shape of the output; one output element is a function of the input elements at the
 * same index.
 */
export interface MapOp<A> extends OpBase<A> {
  readonly kind: "map";
  readonly lower: (e: ExprBuilder, args: readonly Expr[], attrs: A) => Expr;
  /**
   * Whether operands are compared to the last bit, with each other or with values computed from them. All consumers
   * must then see the same rounding: the scheduler keeps such operands in memory, since an element computed by two
   * kernels can differ in its last bit.
   */
  readonly isExact?: (attrs: A) => boolean;
}

/**
 * No tensor input. `lower` returns the element at an index; without it, the data come from `reference` at compile time.
 */
export interface SourceOp<A> extends OpBase<A> {
  readonly kind: "source";
  readonly lower?: (e: ExprBuilder, index: readonly Index[], attrs: A) => Expr;
}

/**
 * One place that a view may read: input number and multi-index there, valid where all `where` ranges hold
 * (`lo <= index < hi`).
 */
export interface ViewPiece {
  readonly input: number;
  readonly index: readonly Index[];
  readonly where: readonly { readonly index: Index; readonly lo: number; readonly hi: number }[];
}

/**
 * Moves elements without computing: the first piece whose ranges hold provides the element, or `fill` if there is none.
 * Inputs that no piece names are not read; they are only computed no later than the consumers of the view.
 */
export interface ViewOp<A> extends OpBase<A> {
  readonly kind: "view";
  readonly lower: (
    index: readonly Index[],
    attrs: A,
    inputs: readonly Shape[],
  ) => { readonly pieces: readonly ViewPiece[]; readonly fill: number };
}

/** Combines elements along `axes` (sorted), which the output lacks. */
export interface ReduceOp<A> extends OpBase<A> {
  readonly kind: "reduce";
  readonly lower: (attrs: A) => { readonly combine: Combine; readonly axes: readonly number[] };
}

/**
 * Batched matrix product: lhs `[...batch, M, K]`, rhs `[...batch, K, N]`, output `[...batch, M, N]`, f32 accumulation.
 */
export interface ContractOp<A> extends OpBase<A> {
  readonly kind: "contract";
}

/**
 * `h_t = a_t h_{t-1} + b_t` along an axis from `h_0 = b_0` on, whatever `a_0` is; inputs a and b of one shape.
 * `reverse` runs from the end.
 */
export interface RecurrenceOp<A> extends OpBase<A> {
  readonly kind: "recurrence";
  readonly lower: (attrs: A) => { readonly axis: number; readonly reverse: boolean };
}

/** Which axis of an operand run-time numbers count along, and how many leading axes the numbers share with it. */
export interface IndexedAxis {
  readonly axis: number;
  /** At most `axis`: each element of these leading axes has numbers of its own. */
  readonly batch: number;
}

/**
 * Takes slices by run-time number: inputs operand and integer indices (further inputs only serve gradients); output
 * shape `operand[:axis] + indices[batch:] + operand[axis+1:]`. A number outside `0 .. extent - 1` gives NaN (0 for
 * integers).
 */
export interface GatherOp<A> extends OpBase<A> {
  readonly kind: "gather";
  readonly lower: (attrs: A) => IndexedAxis;
}

/**
 * Adds slices at run-time numbers: inputs operand, integer indices, updates (of the shape a gather would give); output
 * like operand. Numbers outside the operand are dropped. Repeated numbers accumulate in ascending order of position, so
 * results are reproducible.
 */
export interface ScatterOp<A> extends OpBase<A> {
  readonly kind: "scatter";
  readonly lower: (attrs: A) => IndexedAxis;
}

/**
 * Bodies of loops that were simplified, by their keys and by what their inputs are: layers that are alike have equal
 * loops, and most loops do not change from one round to the next.
 */
export type KnownBodies = Map<string, Graph>;

/** What a loop is simplified with. */
export interface LoopRebuild {
  /** The tensors that are read at all. */
  readonly used: ReadonlySet<Tensor>;
  readonly known: KnownBodies;
  /** Emits the outputs of a body that `keep` names, simplified, on new inputs. */
  readonly emit: (body: Graph, inputs: readonly Tensor[], keep: readonly boolean[]) => readonly Tensor[];
}

/** A rolled loop (see scan.ts). Passes look into its body. */
export interface LoopOp<A> extends OpBase<A> {
  readonly kind: "loop";
  /** Emits a node again on simplified inputs, without what nobody reads: unused outputs may be undefined. */
  readonly rebuild: (node: Node, inputs: readonly Tensor[], how: LoopRebuild) => readonly (Tensor | undefined)[];
}

/** Passes some of its inputs through: its outputs differ from them only in their gradient (see alias.ts). */
export interface AliasOp<A> extends OpBase<A> {
  readonly kind: "alias";
  /** From a list with one entry per input, selects the entries of the outputs. */
  readonly aliased: <T>(inputs: readonly T[]) => readonly T[];
}

/** Everything about a primitive. Shared passes switch on `kind`, never on `name`. */
// deno-lint-ignore no-explicit-any -- attributes are typed where an op is defined and opaque to the passes
export type OpDef<A = any> =
  | MapOp<A>
  | SourceOp<A>
  | ViewOp<A>
  | ReduceOp<A>
  | ContractOp<A>
  | RecurrenceOp<A>
  | GatherOp<A>
  | ScatterOp<A>
  | LoopOp<A>
  | AliasOp<A>;

/** The kinds of primitives. */
export type OpKind = OpDef["kind"];

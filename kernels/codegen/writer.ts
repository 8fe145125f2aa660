/**
 * The interface through which printers generate functions: typed operations on scalars and vectors, locals, loops and
 * branches.
 *
 * Code consists of nested blocks. Each value is stored in a local in the outermost block in which its operands are
 * available, so loop-invariant code is hoisted, and equal operations on equal values share one local. Locals are cheap:
 * the compiler of the generated code allocates registers.
 */
import type { Index, Var } from "../../core/index_expr.ts";
import type { Operand, Operation, Value } from "./language.ts";
import type { ElementType, OpName, ResultType } from "./operations.ts";
import type { Target } from "./target.ts";

export type { Operand, Operation, Value } from "./language.ts";
export type { ElementType, OpName, ResultType } from "./operations.ts";

/** A mutable local, by index. */
export interface Local extends ResultType {
  readonly local: number;
}

/** The range of a loop counter: from `start` (inclusive) to `end` (exclusive). */
export interface LoopRange {
  readonly start: Value;
  readonly end: Value;
  /** An upper bound of the counter, which lets index arithmetic simplify. */
  readonly extent: number;
  /** Default: 1. */
  readonly step?: number;
}

/** Generates one function. */
export interface Writer {
  /** The target machine. */
  readonly target: Target;
  /** Number of elements of a vector. */
  readonly lanes: number;
  /** Depth of the innermost open block. */
  readonly depth: number;

  /** A parameter's value. */
  parameter(name: string): Value;
  /** A literal. It has one lane in every context. There are no literal addresses. */
  literal(value: number, dtype: ElementType): Value;

  /** A pure operation, placed in the outermost block where its operands are available, and deduplicated. */
  op(name: OpName, args: readonly Value[], immediates?: readonly number[]): Value;
  /** An operation whose operands or memory may change: placed here, never moved or deduplicated. */
  fresh(name: OpName, args: readonly Value[], immediates?: readonly number[]): Value;
  /** An operation with side effects and no result, such as a store. */
  effect(name: OpName, args: readonly Value[], immediates?: readonly number[]): void;
  /** An operation used inline in an assignment or condition, without a local of its own. */
  operation(op: OpName, args: readonly Operand[], immediates?: readonly number[]): Operation;

  /** Declares a mutable local. Read it with {@link Writer.read}. */
  newLocal(type: ResultType): Local;
  /** Assigns a local declared by {@link Writer.newLocal}. */
  assign(local: Local, value: Operand): void;
  /** The current value of a mutable local, as an immutable value. */
  read(local: Local): Value;
  /** The local itself as an operand. Valid only until the local is next assigned. */
  now(local: Local): Value;

  /** Runs `body` for each value of a counter. */
  loop(range: LoopRange, body: (counter: Index) => void): void;
  /** Runs `body` a number of times, counting down in a local. This is the loop with the least overhead. */
  countdown(left: Local, turns: Operand, body: () => void): void;
  /** Runs `body` if a condition holds. */
  when(condition: Operand, body: () => void): void;
  /**
   * Selects `usual`, or the result of `exception(from)` if a condition holds in at least one lane. Both are pure; like
   * any operation, the branch is placed where its operands are available.
   */
  unless(
    condition: Value,
    usual: readonly Value[],
    from: readonly Value[],
    exception: (from: readonly Value[]) => readonly Value[],
  ): Value[];

  /** Binds a variable of the index algebra to a value. */
  declare(variable: Var, value: Value): void;
  /** An index computed at run time, known to lie in 0 .. extent - 1. */
  indexOf(value: Value, extent: number): Index;
  /** The value that a variable is bound to. */
  variable(variable: Var): Value;
  /** Memoized values of expressions at a depth, which become invalid when the block ends. */
  memo(depth: number): Map<string, Value>;
}

/**
 * The interface with which printers write functions: typed operations on one lane or W lanes, locals, loops and
 * branches.
 *
 * Code is nested blocks, and each value lies in a local, placed in the outermost block where its parts are known: what
 * does not change in a loop stands in front of it. Equal operations on equal values are one local.
 * The register allocator of whatever compiles the code makes the locals free.
 */
import type { DType } from "../../core/dtype.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import type { Operand, Operation, Value } from "./language.ts";
import type { OpName, ResultType } from "./operations.ts";
import type { Target } from "./target.ts";

export type { Operand, Operation, Value } from "./language.ts";
export type { OpName, ResultType } from "./operations.ts";

/** A local that may be assigned, by number. */
export interface Local extends ResultType {
  readonly local: number;
}

/** The values of a loop's counter: from `start` up to, but not including, `end`. */
export interface LoopRange {
  readonly start: Value;
  readonly end: Value;
  /** The counter is known to be below it; lets index arithmetic simplify. */
  readonly extent: number;
  /** Default: 1. */
  readonly step?: number;
}

/** Writes one function. */
export interface Writer {
  /** The machine that runs it. */
  readonly target: Target;
  /** Elements of a vector. */
  readonly lanes: number;
  /** Number of the innermost open block. */
  readonly depth: number;

  /** A parameter's value. */
  parameter(name: string): Value;
  /** A literal; one lane, whatever uses it. */
  literal(value: number, dtype: DType): Value;

  /** An operation without effects, done once where its operands are known. */
  op(name: OpName, args: readonly Value[], immediates?: readonly number[]): Value;
  /** An operation whose operands or memory change: done here and now. */
  fresh(name: OpName, args: readonly Value[], immediates?: readonly number[]): Value;
  /** An operation with effects and no result, such as a store. */
  effect(name: OpName, args: readonly Value[], immediates?: readonly number[]): void;
  /** An operation as a part of what is assigned, or of a condition: it gets no local of its own. */
  operation(op: OpName, args: readonly Operand[], immediates?: readonly number[]): Operation;

  /** A local that may be assigned. Read it with {@link Writer.read}. */
  newLocal(type: ResultType): Local;
  /** Assigns a local made by {@link Writer.newLocal}. */
  assign(local: Local, value: Operand): void;
  /** The present value of an assignable local, as a value that stays. */
  read(local: Local): Value;
  /** The local itself as an operand: of what is computed next, before it changes. */
  now(local: Local): Value;

  /** Runs `body` for each value of a counter. */
  loop(range: LoopRange, body: (counter: Index) => void): void;
  /** Runs `body` some number of times, counted down in a local: the tightest loop there is. */
  countdown(left: Local, turns: Operand, body: () => void): void;
  /** Runs `body` where a condition holds. */
  when(condition: Operand, body: () => void): void;
  /**
   * `usual`, unless a condition holds (in one lane at least): then what `exception` makes of `from`. Both are values
   * without effects; the branch stands where they are known, like any operation.
   */
  unless(
    condition: Value,
    usual: readonly Value[],
    from: readonly Value[],
    exception: (from: readonly Value[]) => readonly Value[],
  ): Value[];

  /** Says what a variable of the index algebra is. */
  declare(variable: Var, value: Value): void;
  /** An index that is a value computed here, known to lie in 0 .. extent - 1. */
  indexOf(value: Value, extent: number): Index;
  /** The value of a declared variable. */
  variable(variable: Var): Value;
  /** Values of expressions remembered at a depth: they become invalid with the block. */
  memo(depth: number): Map<string, Value>;
}

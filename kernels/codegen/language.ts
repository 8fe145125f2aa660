/**
 * A target language that kernels are printed in. Printers use a {@link Writer}, which decides where each operation is
 * placed; a language defines its syntax. It is all that a device has to add to print every kernel.
 */
import type { OpName, ResultType } from "./operations.ts";

/** A value: a local or a literal. */
export interface Value extends ResultType {
  /** Index of the local; undefined for literals, which have one lane. */
  readonly local: number | undefined;
  readonly literal: number;
  /** Depth of the outermost block in which the value is available. */
  readonly depth: number;
}

/** An operation nested in a larger expression. */
export interface Operation extends ResultType {
  readonly op: OpName;
  readonly args: readonly Operand[];
  readonly immediates: readonly number[];
}

/** An operand of an operation. */
export type Operand = Value | Operation;

/** A loop from `start` (inclusive) to `end` (exclusive). It may have no iterations. */
export interface LoopHead {
  /** Index of the local that holds the counter. */
  readonly counter: number;
  readonly start: Value;
  readonly end: Value;
  readonly step: number;
}

/** The syntax of functions. Each method appends lines to `out`; the lines of a body are appended unchanged. */
export interface Language<Line> {
  /** `local = value`. */
  assign(out: Line[], local: number, value: Operand): void;
  /** An operation with side effects and no result. */
  effect(out: Line[], operation: Operation): void;
  /** A loop whose counter is a local. */
  loop(out: Line[], head: LoopHead, body: readonly Line[]): void;
  /** `turns` iterations, counted down in a local; none if it is 0. */
  countdown(out: Line[], left: number, turns: Operand, body: readonly Line[]): void;
  /** A body that runs if a scalar condition holds. */
  when(out: Line[], condition: Operand, body: readonly Line[]): void;
}

/** Whether an operand is an operation. */
export function isOperation(operand: Operand): operand is Operation {
  return "op" in operand;
}

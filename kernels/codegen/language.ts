/**
 * A language that kernels are printed in. Printers use a {@link Writer}, which decides where each operation stands; a
 * language says how it looks there. What a device adds to print all kernels is one of these.
 */
import type { OpName, ResultType } from "./operations.ts";

/** A value: a local or a literal. */
export interface Value extends ResultType {
  /** Number of the local; undefined for literals, which are one lane. */
  readonly local: number | undefined;
  readonly literal: number;
  /** Number of the outermost block in which the value is known. */
  readonly depth: number;
}

/** An operation as a part of a larger expression. */
export interface Operation extends ResultType {
  readonly op: OpName;
  readonly args: readonly Operand[];
  readonly immediates: readonly number[];
}

/** What an operation takes. */
export type Operand = Value | Operation;

/** A loop from `start` up to, but not including, `end`. It may have no turn at all. */
export interface LoopHead {
  /** Number of the local that counts. */
  readonly counter: number;
  readonly start: Value;
  readonly end: Value;
  readonly step: number;
}

/** How functions look. Each method appends lines to `out`; lines of a body are appended as they are. */
export interface Language<Line> {
  /** `local = value`. */
  assign(out: Line[], local: number, value: Operand): void;
  /** An operation with effects and no result. */
  effect(out: Line[], operation: Operation): void;
  /** A loop whose counter is a local. */
  loop(out: Line[], head: LoopHead, body: readonly Line[]): void;
  /** `turns` turns, counted down in a local; none if it is 0. */
  countdown(out: Line[], left: number, turns: Operand, body: readonly Line[]): void;
  /** A body that runs where a condition of one lane holds. */
  when(out: Line[], condition: Operand, body: readonly Line[]): void;
}

/** Whether an operand is an operation. */
export function isOperation(operand: Operand): operand is Operation {
  return "op" in operand;
}

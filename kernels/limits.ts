/** What devices can hold and bind: the sizes of tensors, and the bindings of kernels. */
import { sizeOf, type Type } from "../core/dtype.ts";
import { sizeOfShape } from "../core/shape.ts";
import type { Operand } from "./kernel.ts";
import type { Step, Value } from "./plan.ts";

/** Limits of the planner. */
export interface PlanLimits {
  /** Maximum bytes of one value. Default: no limit. */
  readonly maxTensorBytes?: number;
  /** Maximum elements of one value. Default: no limit. */
  readonly maxElements?: number;
  /** Alignment of offsets in bytes. Default: {@link ALIGNMENT}. */
  readonly alignmentBytes?: number;
  /** The arena is split into buffers of this many bytes, and no value straddles a boundary. Default: one buffer. */
  readonly maxBufferBytes?: number;
  /**
   * Bytes up to which the temporaries of a loop's body are kept apart: none takes the memory of another. On devices
   * whose threads wait for each other only where they touch the same memory, they then need not wait in the loop.
   * Default: 0.
   */
  readonly maxApartBytes?: number;
}

/** The default alignment of values in bytes: WebGPU's default for storage bindings. */
export const ALIGNMENT = 256;

/** No limits to the size of a tensor. */
export const UNLIMITED = {
  maxTensorBytes: Infinity,
  maxElements: Infinity,
  maxBindingBytes: Infinity,
  maxBufferBytes: Infinity,
} as const;

/** Bytes that one tensor may have, of elements of 32 bits. */
export function largestTensor(
  { maxTensorBytes = Infinity, maxElements = Infinity, maxBufferBytes = Infinity }: PlanLimits,
): number {
  return Math.min(maxTensorBytes, 4 * maxElements, maxBufferBytes);
}

/** Bytes of a tensor that a kernel binds as one operand. */
export function largestOperand(limits: PlanLimits & { readonly maxBindingBytes?: number }): number {
  return Math.min(largestTensor(limits), limits.maxBindingBytes ?? Infinity);
}

/** Whether a value is larger than one tensor may be. */
export function isTooLarge({ type, sizeBytes, storage }: Value, limits: PlanLimits): boolean {
  return storage.kind !== "alias" && excessOf(type, sizeBytes, limits) !== undefined;
}

/** What is above a limit about a tensor, as text: `it takes 153 MiB and one tensor may take at most 128 MiB`. */
export function excessOf({ shape }: Type, sizeBytes: number, limits: PlanLimits): string | undefined {
  const bytes = largestTensor(limits), { maxElements = Infinity } = limits, size = sizeOfShape(shape);
  if (sizeBytes > bytes) return `it takes ${mebibytes(sizeBytes)} and one tensor may take at most ${mebibytes(bytes)}`;
  return size > maxElements ? `it has ${size} elements and one tensor may have at most ${maxElements}` : undefined;
}

/** Bytes in MiB as text. */
export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 2 : 0)} MiB`;
}

/** Bytes of an operand. */
export function bytesOfOperand({ size, dtype }: Operand): number {
  return size * sizeOf(dtype);
}

/**
 * The number of pieces in which an operand is bound: those larger than a binding are bound in pieces of equal length, and
 * each counts as an operand.
 */
export function piecesOf(operand: Operand, maxBindingBytes: number): number {
  return maxBindingBytes === Infinity ? 1 : Math.max(1, Math.ceil(bytesOfOperand(operand) / maxBindingBytes));
}

/** The number of bindings of a kernel. */
export function bindingsOf(operands: readonly Operand[], maxBindingBytes: number): number {
  return operands.reduce((sum, operand) => sum + piecesOf(operand, maxBindingBytes), 0);
}

/** Whether all kernels of a schedule are within the limit of a device. */
export function fitsBindings(
  { steps }: { readonly steps: readonly Step[] },
  { maxOperands, maxBindingBytes = Infinity }: { readonly maxOperands: number; readonly maxBindingBytes?: number },
): boolean {
  const fits = (step: Step): boolean =>
    step.kind === "loop" ? step.steps.every(fits) : bindingsOf(step.kernel.operands, maxBindingBytes) <= maxOperands;
  return maxBindingBytes === Infinity || steps.every(fits);
}

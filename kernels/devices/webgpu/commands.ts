/** A plan's steps as a flat list of dispatches: loops are unrolled into indices, not into kernels. */
import { CompileError } from "../../../core/errors.ts";
import type { KernelStep, Step } from "../../plan.ts";

/** Maximum number of loop indices that a kernel can read: one vec4. */
export const MAX_LOOP_DEPTH = 4;

/** The dispatches of a plan, in order. */
export interface CommandList {
  /** The kernel steps in schedule order. */
  readonly steps: readonly KernelStep[];
  /** For each dispatch, the index of its step. */
  readonly sequence: Uint32Array;
  /** For each dispatch, the index of its tuple of loop indices. */
  readonly tuple: Uint32Array;
  /**
   * The distinct tuples of loop indices, {@link MAX_LOOP_DEPTH} numbers each, outermost first. The first is all zeros.
   */
  readonly tuples: Uint32Array;
  /** The numbers of a tuple. */
  readonly tupleSize: number;
}

/**
 * Flattens steps.
 * @throws {CompileError} if a kernel is nested in more loops than a device passes indices for.
 */
export function flattenSteps(steps: readonly Step[]): CommandList {
  const kernels: KernelStep[] = [];
  const numbers = new Map<KernelStep, number>();
  const sequence: number[] = [], tuple: number[] = [];
  const tuples: number[] = [0, 0, 0, 0];
  const known = new Map<string, number>([["0,0,0,0", 0]]);
  const current = new Map<number, number>();

  const number = (list: readonly Step[]): void => {
    for (const step of list) {
      if (step.kind === "loop") number(step.steps);
      else {
        numbers.set(step, kernels.length);
        kernels.push(step);
      }
    }
  };
  const indicesOf = (step: KernelStep): number => {
    const { loops, origins } = step.kernel;
    if (loops.length === 0) return 0;
    if (loops.length > MAX_LOOP_DEPTH) {
      throw new CompileError(
        `Cannot run the kernel of ${
          origins.join(", ")
        }: it lies in ${loops.length} nested scans, and at most ${MAX_LOOP_DEPTH} are supported`,
      );
    }
    const indices = Array.from(
      { length: MAX_LOOP_DEPTH },
      (_, i) => (i < loops.length ? current.get(loops[i].id) ?? 0 : 0),
    );
    const key = indices.join();
    let found = known.get(key);
    if (found === undefined) {
      found = known.size;
      known.set(key, found);
      tuples.push(...indices);
    }
    return found;
  };
  const visit = (list: readonly Step[]): void => {
    for (const step of list) {
      if (step.kind === "kernel") {
        sequence.push(numbers.get(step)!);
        tuple.push(indicesOf(step));
        continue;
      }
      const { variable: { id, extent }, reverse } = step;
      for (let i = 0; i < extent; i++) {
        current.set(id, reverse ? extent - 1 - i : i);
        visit(step.steps);
      }
      current.delete(id);
    }
  };
  number(steps);
  visit(steps);
  return {
    steps: kernels,
    sequence: Uint32Array.from(sequence),
    tuple: Uint32Array.from(tuple),
    tuples: Uint32Array.from(tuples),
    tupleSize: MAX_LOOP_DEPTH,
  };
}

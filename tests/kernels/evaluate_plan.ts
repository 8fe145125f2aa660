/**
 * Runs plans in plain f64 JavaScript: the kernels of the schedule at the very addresses of the plan, in one memory.
 *
 * It checks all that {@link PlanMachine} checks, so that a value which another one overwrites while it is needed shows
 * where it is read. Temporaries are poisoned when their live range begins, so a range that begins too late, or memory
 * that is read before it is written, shows as well. What a plan says of itself (alignment, sizes, bounds, cuts between
 * buffers) is checked first.
 */
import { sizeOf } from "../../core/dtype.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { ALIGNMENT } from "../../kernels/limits.ts";
import type { Plan, Step, Value, ValueId } from "../../kernels/plan.ts";
import { liveRanges } from "../../kernels/plan_memory.ts";
import { KernelFault, type Layout, PlanMachine } from "./plan_machine.ts";

/**
 * The outputs of a plan. Terms of products that no band of the mask holds are left out, as printers do.
 * @throws {KernelFault} if the plan contradicts itself, or a kernel breaks a rule of memory.
 */
export function evaluatePlan(plan: Plan, inputs: readonly ArrayLike<number>[]): Float64Array[] {
  checkPlan(plan);
  return new PlanMachine(plan, planLayout(plan), "skip").run(inputs);
}

/** Checks what can be seen without running: sizes, alignment and bounds of every value. @throws {KernelFault} */
export function checkPlan({ values, offsets, arenaBytes, bufferBytes, inputs, outputs }: Plan): void {
  for (const value of values) {
    const { id, type, sizeBytes, storage, label } = value;
    const fail = (message: string): never => {
      throw new KernelFault(`value ${id} (${label}) ${message}`);
    };
    const needed = Math.max(4, 4 * Math.ceil(sizeOfShape(type.shape) * sizeOf(type.dtype) / 4));
    if (sizeBytes !== needed) fail(`takes ${sizeBytes} bytes, ${type.dtype}[${type.shape}] needs ${needed}`);
    if (storage.kind === "temporary") checkPlace(value, { offset: offsets.get(id), arenaBytes, bufferBytes, fail });
    if (storage.kind === "alias") checkPart(value, values[storage.of], storage.byteOffset, fail);
    if (storage.kind === "constant" && storage.data.length < sizeOfShape(type.shape)) {
      fail(`has ${storage.data.length} elements for ${type.shape}`);
    }
    if (storage.kind === "input" && inputs[storage.position] !== id) {
      fail(`is not the value of input ${storage.position}`);
    }
    if (storage.kind === "output" && outputs[storage.position] !== id) {
      fail(`is not the value of output ${storage.position}`);
    }
  }
}

type Fail = (message: string) => never;

function checkPlace(
  { sizeBytes }: Value,
  { offset, arenaBytes, bufferBytes, fail }: {
    readonly offset: number | undefined;
    readonly arenaBytes: number;
    readonly bufferBytes: number;
    readonly fail: Fail;
  },
): void {
  if (offset === undefined) return fail("has no place in the arena");
  if (offset % ALIGNMENT !== 0 || offset < 0) fail(`lies at byte ${offset}, not at a multiple of ${ALIGNMENT}`);
  // A value that nothing touches is placed anywhere, and the arena may be empty.
  if (offset > 0 && offset + sizeBytes > arenaBytes) {
    fail(`lies at byte ${offset} with ${sizeBytes} bytes in an arena of ${arenaBytes}`);
  }
  if (
    bufferBytes !== Infinity && Math.floor(offset / bufferBytes) !== Math.floor((offset + sizeBytes - 1) / bufferBytes)
  ) {
    fail(`lies at byte ${offset} with ${sizeBytes} bytes, across a cut at a multiple of ${bufferBytes}`);
  }
}

function checkPart({ sizeBytes, type }: Value, whole: Value, byteOffset: number, fail: Fail): void {
  if (whole.storage.kind === "alias") fail(`is a part of value ${whole.id}, which is a part itself`);
  if (byteOffset % ALIGNMENT !== 0 || byteOffset < 0) {
    fail(`is a part at byte ${byteOffset}, not at a multiple of ${ALIGNMENT}`);
  }
  if (byteOffset + sizeBytes > whole.sizeBytes) {
    fail(`is a part at byte ${byteOffset} with ${sizeBytes} bytes of ${whole.sizeBytes}`);
  }
  if (type.dtype !== whole.type.dtype) fail(`is ${type.dtype}, a part of ${whole.type.dtype}`);
}

/** The arena first, then everything that has memory of its own; outputs that take inputs lie where these do. */
function planLayout(plan: Plan): Layout {
  const { values, inputs, offsets } = plan;
  const addresses = new Map(offsets);
  let sizeBytes = align(
    Math.max(plan.arenaBytes, ...values.map(({ id, sizeBytes }) => (offsets.get(id) ?? 0) + sizeBytes)),
  );
  for (const { id, storage, sizeBytes: size } of values) {
    const hasOwn = storage.kind === "input" || storage.kind === "constant" ||
      (storage.kind === "output" && storage.takes === undefined);
    if (!hasOwn) continue;
    addresses.set(id, sizeBytes);
    sizeBytes += align(size);
  }
  for (const { id, storage } of values) {
    if (storage.kind === "output" && storage.takes !== undefined) {
      addresses.set(id, addresses.get(inputs[storage.takes])!);
    }
  }
  return { addressOf: (value) => addresses.get(value)!, sizeBytes, begins: beginsOf(plan) };
}

function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/**
 * Where live ranges begin: at a kernel, or at the outermost loop that lies in the range as a whole, so that turns find
 * what earlier ones left.
 */
function beginsOf(plan: Plan): Map<Step, ValueId[]> {
  const begins = new Map<Step, ValueId[]>();
  const waiting = new Map<number, { readonly id: ValueId; readonly last: number }[]>();
  for (const [id, { first, last }] of liveRanges(plan)) {
    if (!waiting.has(first)) waiting.set(first, []);
    waiting.get(first)!.push({ id, last });
  }
  let position = 0;
  const kernelCount = (
    step: Step,
  ): number => (step.kind === "kernel" ? 1 : step.steps.reduce((sum, inner) => sum + kernelCount(inner), 0));
  const visit = (step: Step): void => {
    const end = position + kernelCount(step) - 1;
    const here = waiting.get(position) ?? [];
    const whole = here.filter(({ last }) => last >= end);
    if (whole.length > 0) {
      begins.set(step, whole.map(({ id }) => id));
      waiting.set(position, here.filter(({ last }) => last < end));
    }
    if (step.kind === "loop") step.steps.forEach(visit);
    else position++;
  };
  plan.steps.forEach(visit);
  return begins;
}

/**
 * Keeps kernels within a device's bindings where tensors are larger than one of them. Such an operand is bound in
 * pieces. Where that takes more bindings than there are, a kernel becomes several, each for a part of one
 * of its variables, that bind only what their part of the space touches: parts of an elementwise kernel touch as much
 * of each operand. Where no variable helps, the program is scheduled once more, with fewer operands in a kernel.
 */
import { ExprCopier } from "../../core/copy_expr.ts";
import { sizeOf } from "../../core/dtype.ts";
import { DeviceError } from "../../core/errors.ts";
import { addIndex, type Index, makeVar, substituteIndex, type Var, varIndex } from "../../core/index_expr.ts";
import { accessesOf } from "../cost.ts";
import type { DeviceLimits } from "../device.ts";
import type { Kernel, Operand, Store } from "../kernel.ts";
import { bindingsOf, fitsBindings, isTooLarge, mebibytes, piecesOf, type PlanLimits } from "../limits.ts";
import type { KernelStep, Schedule, Step, Value, ValueId } from "../plan.ts";

/** What {@link splitKernels} must know about a device. */
export type SplitLimits =
  & PlanLimits
  & Pick<DeviceLimits, "maxOperands" | "maxBindingBytes" | "alignmentBytes" | "lanes">;

/** Operands of a kernel with which programs are scheduled again: the last is the fewest that every op can do with. */
const FEWER_OPERANDS = [12, 8, 6];

/** Kernels are cut into so many parts at most. */
const MOST_PARTS = 64;

/** Parts of long variables are multiples of this, so that vectors stay aligned. */
const PART_MULTIPLE = 64;

/**
 * A schedule of kernels that a device can bind.
 * @param scheduled The schedule for the device's operands.
 * @param again Schedules the same program with at most so many operands in a kernel.
 * @throws {DeviceError} with reason `limit` if a kernel needs more bindings than there are.
 */
export function splitKernels(
  scheduled: Schedule,
  limits: SplitLimits,
  again: (maxOperands: number) => Schedule,
): Schedule {
  let split = new Splitter(limits).schedule(scheduled);
  for (const operands of FEWER_OPERANDS) {
    if (fitsBindings(split, limits)) break;
    if (operands < limits.maxOperands) split = new Splitter(limits).schedule(again(operands));
  }
  const refused = kernelsOf(split.steps).find(({ operands }) =>
    bindingsOf(operands, limits.maxBindingBytes!) > limits.maxOperands
  );
  // What is larger than any tensor may be is refused by the planner, which names it.
  if (refused && !scheduled.values.some((value) => isTooLarge(value, limits))) throw tooManyBindings(refused, limits);
  return split;
}

function kernelsOf(steps: readonly Step[]): Kernel[] {
  return steps.flatMap((step) => (step.kind === "loop" ? kernelsOf(step.steps) : [step.kernel]));
}

function tooManyBindings({ operands, origins }: Kernel, { maxOperands, maxBindingBytes }: SplitLimits): DeviceError {
  const large = operands.filter((operand) => piecesOf(operand, maxBindingBytes!) > 1).length;
  return new DeviceError(
    `Cannot bind the operands of ${origins.join(", ")}: ${large} of ${operands.length} are larger than ${
      mebibytes(maxBindingBytes!)
    }, the most that one binding may have on this device, and in pieces of that size they are ${
      bindingsOf(operands, maxBindingBytes!)
    } bindings, of which a kernel may have ${maxOperands}; split the tensors, or use a device with higher limits`,
    "limit",
  );
}

/** The elements of an operand that a part of a kernel may touch: from an aligned one on. */
interface Window {
  readonly first: number;
  readonly size: number;
}

/** A part of a kernel: the values of one variable, and what of each operand they touch. */
interface Part {
  readonly variable: Var;
  readonly start: number;
  readonly extent: number;
  readonly windows: readonly Window[];
}

/** Splits the kernels of one schedule. */
class Splitter {
  readonly #aliases = new Map<string, ValueId>();
  #values: Value[] = [];

  constructor(readonly limits: SplitLimits) {}

  schedule(scheduled: Schedule): Schedule {
    this.#values = [...scheduled.values];
    const steps = this.#steps(scheduled.steps);
    return { ...scheduled, values: this.#values, steps };
  }

  #steps(steps: readonly Step[]): Step[] {
    return steps.flatMap((step): Step[] =>
      step.kind === "loop" ? [{ ...step, steps: this.#steps(step.steps) }] : this.#kernel(step)
    );
  }

  #kernel(step: KernelStep): KernelStep[] {
    const { kernel } = step, { maxOperands, maxBindingBytes } = this.limits;
    if (bindingsOf(kernel.operands, maxBindingBytes!) <= maxOperands) return [step];
    let best: Part[] | undefined;
    for (const variable of parallelOf(kernel)) {
      const parts = this.#partsAlong(kernel, variable);
      if (parts && (!best || parts.length < best.length)) best = parts;
    }
    return best?.map((part) => this.#launch(step, part)) ?? [step];
  }

  /** The fewest parts along a variable that are within the bindings. */
  #partsAlong(kernel: Kernel, variable: Var): Part[] | undefined {
    const { maxOperands, maxBindingBytes } = this.limits, { extent } = variable;
    for (let count = 2; count <= Math.min(extent, MOST_PARTS); count++) {
      const multiple = extent >= count * PART_MULTIPLE ? PART_MULTIPLE : 1;
      const size = Math.ceil(extent / count / multiple) * multiple;
      const parts: Part[] = [];
      for (let start = 0; start < extent; start += size) {
        const part = this.#part(kernel, variable, { start, extent: Math.min(size, extent - start) });
        const operands = kernel.operands.map((operand, at) => ({ ...operand, size: part.windows[at].size }));
        if (bindingsOf(operands, maxBindingBytes!) > maxOperands) break;
        parts.push(part);
      }
      const last = parts.at(-1);
      if (last && last.start + last.extent === extent) return parts;
    }
    return undefined;
  }

  #part(kernel: Kernel, variable: Var, { start, extent }: { readonly start: number; readonly extent: number }): Part {
    const own = makeVar(variable.name, extent), replace = new Map([[variable.id, addIndex(varIndex(own), start)]]);
    const ranges = kernel.operands.map(() => ({ min: Infinity, max: -Infinity }));
    for (const { operand, index } of accessesOf(kernel)) {
      const { min, max } = substituteIndex(index, replace), range = ranges[operand];
      [range.min, range.max] = [Math.min(range.min, min), Math.max(range.max, max)];
    }
    const windows = kernel.operands.map((operand, at) =>
      piecesOf(operand, this.limits.maxBindingBytes!) > 1
        ? this.#window(operand, ranges[at])
        : { first: 0, size: operand.size }
    );
    return { variable, start, extent, windows };
  }

  #window({ size, dtype }: Operand, { min, max }: { readonly min: number; readonly max: number }): Window {
    const { alignmentBytes, lanes } = this.limits, step = alignmentBytes / sizeOf(dtype);
    const first = Math.max(0, Math.floor(Math.min(min, size - 1) / step) * step);
    return { first, size: Math.max(1, Math.min(Math.ceil((max + 1) / lanes) * lanes, size) - first) };
  }

  #launch({ operands, ...step }: KernelStep, part: Part): KernelStep {
    const of = operands.map((value, at) => this.#valueOf(value, part.windows[at], step.kernel.operands[at]));
    return { ...step, kernel: kernelOf(step.kernel, part), operands: of };
  }

  /** The value that is a window of another. */
  #valueOf(id: ValueId, { first, size }: Window, { dtype, size: whole }: Operand): ValueId {
    if (first === 0 && size === whole) return id;
    const { storage, label } = this.#values[id], key = `${id},${first},${size}`, present = this.#aliases.get(key);
    if (present !== undefined) return present;
    const base = storage.kind === "alias" ? storage : { of: id, byteOffset: 0 };
    const alias = this.#values.length;
    this.#values.push({
      id: alias,
      type: { shape: [size], dtype },
      sizeBytes: Math.max(4, Math.ceil(size * sizeOf(dtype) / 4) * 4),
      storage: { kind: "alias", of: base.of, byteOffset: base.byteOffset + first * sizeOf(dtype) },
      label,
    });
    this.#aliases.set(key, alias);
    return alias;
  }
}

/** The variables whose values are computed independently of each other, outermost first. */
function parallelOf(kernel: Kernel): readonly Var[] {
  return kernel.kind === "contract" ? [...kernel.batch, kernel.m, kernel.n] : kernel.space;
}

/** The kernel of a part. */
function kernelOf(kernel: Kernel, { variable, start, extent, windows }: Part): Kernel {
  const own = makeVar(variable.name, extent), replace = new Map([[variable.id, addIndex(varIndex(own), start)]]);
  const within = (operand: number, index: Index): Index => addIndex(index, -windows[operand].first);
  const copier = new ExprCopier({
    index: (index, copy) => substituteIndex(index, replace, copy),
    load: (operand, index) => ({ operand, index: within(operand, index) }),
    variable: (bound) => bound,
  });
  const of = (vars: readonly Var[]): Var[] => vars.map(swap);
  const swap = (other: Var): Var => (other === variable ? own : other);
  const store = ({ operand, index, value }: Store): Store => ({
    operand,
    index: within(operand, copier.index(index)),
    value: copier.expr(value),
  });
  const operands = kernel.operands.map((operand, at) => ({ ...operand, size: windows[at].size }));
  switch (kernel.kind) {
    case "map":
      return { ...kernel, operands, space: of(kernel.space), stores: kernel.stores.map(store) };
    case "row": {
      const { space, rowStores, elementStores } = kernel;
      return {
        ...kernel,
        operands,
        space: of(space),
        rowStores: rowStores.map(store),
        elementStores: elementStores.map(store),
      };
    }
    case "contract": {
      const { batch, m, n, lhs, rhs, stores, mask } = kernel;
      return {
        ...kernel,
        operands,
        batch: of(batch),
        m: swap(m),
        n: swap(n),
        lhs: copier.expr(lhs),
        rhs: copier.expr(rhs),
        stores: stores.map(store),
        mask: mask.map((band) => band.map((index) => substituteIndex(index, replace))),
      };
    }
    case "recurrence": {
      const { space, states, stores } = kernel;
      return {
        ...kernel,
        operands,
        space: of(space),
        states: states.map(({ a, b }) => ({ a: copier.expr(a), b: copier.expr(b) })),
        stores: stores.map(store),
      };
    }
    case "scatter": {
      const { space, target, index, valid, update } = kernel, stored = store({ operand: target, index, value: update });
      return {
        ...kernel,
        operands,
        space: of(space),
        index: stored.index,
        update: stored.value,
        valid: copier.expr(valid),
      };
    }
  }
}

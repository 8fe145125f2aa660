/**
 * Lets outputs reuse the memory of donated inputs.
 *
 * An output may reuse an input of the same type if nothing reads the input after the output's first element is written.
 * The kernel that writes first may read it as well if it is a map, or a contraction that reads it only after its sum,
 * and if each of its points reads the input only at the element that it then writes: printers compute all values of a
 * point before they store any. (An optimiser's update is therefore in place, on its own or fused with the product that
 * computes the gradient.) The two operands become one, `readwrite`, because WebGPU rejects two bindings of the same
 * range of which one is writable:
 *
 *     b1[i] = b0[i] + b2[i]          ->          b0[i] = b0[i] + b1[i]
 *
 * Pairs are independent: the memory of a pair is only accessed by what reads its input and what reads or writes its
 * output.
 */
import { ExprCopier } from "../core/copy_expr.ts";
import type { Expr } from "../core/expr.ts";
import { readsValues, substituteIndex } from "../core/index_expr.ts";
import { sameShape } from "../core/shape.ts";
import { accessesOf, visitExprs } from "./cost.ts";
import type { ContractKernel, Kernel, MapKernel } from "./kernel.ts";
import type { KernelStep, Schedule, Step, Value, ValueId } from "./plan.ts";

/** The outermost steps at which a value is read, and at which it is first written. */
interface Uses {
  lastRead: number;
  firstWrite: number;
}

/**
 * Lets outputs reuse donated inputs: `takes` of an output's storage names the input. The schedule computes the same
 * values.
 * @param schedule Steps over values.
 * @param donated Positions of the donated inputs.
 */
export function takeDonated(schedule: Schedule, donated: readonly number[]): Schedule {
  const uses = usesOf(schedule);
  const free = new Set(donated.map((position) => schedule.inputs[position]));
  const taken = new Map<ValueId, ValueId>();
  for (const output of schedule.outputs) {
    for (const input of free) {
      if (!mayTake(schedule, uses, input, output)) continue;
      taken.set(output, input);
      free.delete(input);
      break;
    }
  }
  if (taken.size === 0) return schedule;
  const values = schedule.values.map((value): Value => {
    const input = taken.get(value.id);
    if (input === undefined || value.storage.kind !== "output") return value;
    return { ...value, storage: { ...value.storage, takes: schedule.inputs.indexOf(input) } };
  });
  const steps = schedule.steps.map((step) => {
    if (step.kind === "loop") return step;
    let merged = step;
    for (const [output, input] of taken) {
      const pair = pairOf(schedule, step, input, output);
      // Only the kernel that writes first may access both; see mayTake.
      if (pair) merged = mergeOperands(merged, step.operands[pair.read], step.operands[pair.written]);
    }
    return merged;
  });
  return { ...schedule, values, steps };
}

function baseOf({ values }: Schedule, id: ValueId): ValueId {
  const { storage } = values[id];
  return storage.kind === "alias" ? storage.of : id;
}

function usesOf(schedule: Schedule): ReadonlyMap<ValueId, Uses> {
  const uses = new Map<ValueId, Uses>();
  const visit = (step: Step, top: number): void => {
    if (step.kind === "loop") return step.steps.forEach((inner) => visit(inner, top));
    step.operands.forEach((id, at) => {
      const base = baseOf(schedule, id), { access } = step.kernel.operands[at];
      let of = uses.get(base);
      if (!of) uses.set(base, of = { lastRead: -1, firstWrite: Infinity });
      if (access !== "write") of.lastRead = top;
      if (access !== "read") of.firstWrite = Math.min(of.firstWrite, top);
    });
  };
  schedule.steps.forEach(visit);
  return uses;
}

function mayTake(schedule: Schedule, uses: ReadonlyMap<ValueId, Uses>, input: ValueId, output: ValueId): boolean {
  const { type: from } = schedule.values[input], { type: to } = schedule.values[output];
  if (from.dtype !== to.dtype || !sameShape(from.shape, to.shape)) return false;
  const firstWrite = uses.get(output)?.firstWrite;
  // Empty values have no kernel and no memory worth reusing.
  if (firstWrite === undefined || firstWrite === Infinity) return false;
  const lastRead = uses.get(input)?.lastRead ?? -1;
  if (lastRead !== firstWrite) return lastRead < firstWrite;
  const step = schedule.steps[firstWrite];
  return step.kind === "kernel" && pairOf(schedule, step, input, output)?.sameElement === true;
}

/** The operands through which a kernel reads `input` and writes `output`, if it does both. */
function pairOf(schedule: Schedule, { kernel, operands }: KernelStep, input: ValueId, output: ValueId) {
  const placesOf = (id: ValueId): number[] =>
    operands.flatMap((operand, at) => (baseOf(schedule, operand) === id ? [at] : []));
  const [reads, writes] = [placesOf(input), placesOf(output)];
  if (reads.length === 0 || writes.length === 0) return undefined;
  const [read] = reads, [written] = writes;
  const isOne = reads.length === 1 && writes.length === 1 &&
    startOf(schedule.values[operands[read]]) === startOf(schedule.values[operands[written]]);
  return { read, written, sameElement: isOne && isPointwise(kernel) && readsWhatItWrites(kernel, read, written) };
}

function startOf({ storage }: Value): number {
  return storage.kind === "alias" ? storage.byteOffset : 0;
}

/** Whether a kernel computes what its points store from loads at their own position, or in a contraction from a sum. */
type PointwiseKernel = MapKernel | ContractKernel;

function isPointwise(kernel: Kernel): kernel is PointwiseKernel {
  return kernel.kind === "map" || kernel.kind === "contract";
}

/** Whether each point reads operand `read` only where it writes operand `written`. */
function readsWhatItWrites(kernel: PointwiseKernel, read: number, written: number): boolean {
  // An index that depends on loads is evaluated between stores.
  if (kernel.operands[written].access !== "write" || kernel.stores.some(({ index }) => readsValues(index))) {
    return false;
  }
  let isFactor = false;
  visitExprs(factorsOf(kernel), (expr) => isFactor ||= expr.kind === "load" && expr.operand === read);
  if (isFactor) return false;
  const keys = new Set<string>();
  for (const { operand, index } of accessesOf(kernel)) if (operand === read || operand === written) keys.add(index.key);
  return keys.size === 1;
}

/** The expressions that are evaluated at points other than those of the stores: the factors of a contraction. */
function factorsOf(kernel: PointwiseKernel): readonly Expr[] {
  return kernel.kind === "contract" ? [kernel.lhs, kernel.rhs] : [];
}

/** The step without the operand of value `read`, whose loads use the operand of value `written` instead. */
function mergeOperands(step: KernelStep, read: ValueId, written: ValueId): KernelStep {
  const kernel = step.kernel as PointwiseKernel;
  const [from, to] = [step.operands.indexOf(read), step.operands.indexOf(written)];
  const renumber = (operand: number): number => {
    const kept = operand === from ? to : operand;
    return kept > from ? kept - 1 : kept;
  };
  const size = Math.max(kernel.operands[from].size, kernel.operands[to].size);
  const operands = kernel.operands.map((
    operand,
    at,
  ) => (at === to ? { ...operand, size, access: "readwrite" as const } : operand));
  const copy = new ExprCopier({
    index: (index, copyValue) => (readsValues(index) ? substituteIndex(index, new Map(), copyValue) : index),
    load: (operand, index) => ({ operand: renumber(operand), index }),
    variable: (variable) => variable,
  });
  const stores = kernel.stores.map(({ operand, index, value }) => ({
    operand: renumber(operand),
    index,
    value: copy.expr(value),
  }));
  const parts = { operands: operands.filter((_, at) => at !== from), stores };
  const merged: Kernel = kernel.kind === "map"
    ? { ...kernel, ...parts }
    : { ...kernel, ...parts, lhs: copy.expr(kernel.lhs), rhs: copy.expr(kernel.rhs) };
  return { ...step, kernel: merged, operands: step.operands.filter((_, at) => at !== from) };
}

/** The memory traffic and arithmetic of kernels, counted from their expressions. */
import { sizeOf } from "../core/dtype.ts";
import { type Expr, operandsOf } from "../core/expr.ts";
import { type Index, type Var, visitVars } from "../core/index_expr.ts";
import type { Kernel, Store } from "./kernel.ts";
import { unmaskedShare } from "./mask_share.ts";
import type { Step } from "./plan.ts";

/** The work of one launch of a kernel. */
export interface Cost {
  /**
   * Arithmetic operations on elements; a multiply-add counts as two, index arithmetic and conversions as none. For
   * products, masked terms are excluded.
   */
  readonly flops: number;
  /** Minimum bytes moved between memory and the processor: distinct elements read, plus elements written. */
  readonly bytes: number;
}

/** A load or a store in a kernel. */
export interface KernelAccess {
  readonly operand: number;
  readonly index: Index;
  readonly mode: "load" | "store";
}

/** The stores of a kernel, including a scatter's update. */
export function storesOf(kernel: Kernel): readonly Store[] {
  switch (kernel.kind) {
    case "row":
      return [...kernel.rowStores, ...kernel.elementStores];
    case "scatter":
      return [{ operand: kernel.target, index: kernel.index, value: kernel.update }];
    default:
      return kernel.stores;
  }
}

/** The expressions of a kernel other than those in its stores: factors, coefficients, conditions. */
function otherExprs(kernel: Kernel): readonly Expr[] {
  switch (kernel.kind) {
    case "contract":
      return [kernel.lhs, kernel.rhs];
    case "recurrence":
      return kernel.states.flatMap(({ a, b }) => [a, b]);
    case "scatter":
      return [kernel.valid];
    default:
      return [];
  }
}

/** The variables of a kernel's iteration space, without those of enclosing loops. */
export function spaceOf(kernel: Kernel): readonly Var[] {
  switch (kernel.kind) {
    case "map":
      return kernel.space;
    case "row":
      return [...kernel.space, kernel.row];
    case "contract":
      return [...kernel.batch, kernel.m, kernel.n, kernel.k];
    case "recurrence":
      return [...kernel.space, kernel.time];
    case "scatter":
      return [...kernel.space, kernel.position];
  }
}

/** Calls `visit` once for each distinct expression reachable from `roots`, including those inside indices. */
export function visitExprs(roots: readonly Expr[], visit: (expr: Expr) => void): void {
  const seen = new Set<Expr>();
  const walk = (expr: Expr): void => {
    if (seen.has(expr)) return;
    seen.add(expr);
    operandsOf(expr).forEach(walk);
    if (expr.kind === "index" || expr.kind === "inRange" || expr.kind === "load") visitIndexExprs(expr.index, walk);
    visit(expr);
  };
  roots.forEach(walk);
}

function visitIndexExprs(index: Index, visit: (expr: Expr) => void): void {
  for (const { atom } of index.terms) {
    if (atom.kind === "value") visit(atom.value);
    else if (atom.kind !== "var") visitIndexExprs(atom.of, visit);
  }
}

function rootsOf(kernel: Kernel): Expr[] {
  const roots = [...otherExprs(kernel)];
  for (const { value, index } of storesOf(kernel)) {
    roots.push(value);
    visitIndexExprs(index, (expr) => roots.push(expr));
  }
  return roots;
}

/** Calls `visit` once for each distinct expression of a kernel, operands first. */
export function visitKernelExprs(kernel: Kernel, visit: (expr: Expr) => void): void {
  visitExprs(rootsOf(kernel), visit);
}

/** All distinct loads and stores of a kernel. */
export function accessesOf(kernel: Kernel): KernelAccess[] {
  const accesses: KernelAccess[] = [];
  visitExprs(rootsOf(kernel), (expr) => {
    if (expr.kind === "load") accesses.push({ operand: expr.operand, index: expr.index, mode: "load" });
  });
  for (const { operand, index } of storesOf(kernel)) {
    if (kernel.kind === "scatter") accesses.push({ operand, index, mode: "load" });
    accesses.push({ operand, index, mode: "store" });
  }
  return accesses;
}

/** Counts the arithmetic and the memory traffic of one launch. */
export function costOf(kernel: Kernel): Cost {
  return { flops: flopsOf(kernel), bytes: bytesOf(kernel) };
}

function extentOf(variables: readonly Var[]): number {
  return variables.reduce((size, { extent }) => size * extent, 1);
}

/**
 * An expression is evaluated once for each value of the variables that it depends on: what does not depend on the row
 * is not counted per element.
 */
function flopsOf(kernel: Kernel): number {
  const depends = new Map<Expr, ReadonlySet<Var>>();
  const loops = new Set(kernel.loops);
  const space = spaceOf(kernel);
  const epilogue = kernel.kind === "contract" ? new Set([...kernel.batch, kernel.m, kernel.n]) : undefined;
  const perPoint = {
    map: 0,
    row: 0,
    contract: 2,
    recurrence: kernel.kind === "recurrence" ? 2 * kernel.states.length : 0,
    scatter: 1,
  }[kernel.kind];
  let flops = Math.round(perPoint * extentOf(space) * (kernel.kind === "contract" ? unmaskedShare(kernel) : 1));
  visitExprs(rootsOf(kernel), (expr) => {
    const below = new Set<Var>(expr.kind === "accumulator" ? epilogue ?? space : []);
    for (const operand of operandsOf(expr)) for (const variable of depends.get(operand)!) below.add(variable);
    if (expr.kind === "index" || expr.kind === "inRange" || expr.kind === "load") {
      visitVars(expr.index, (variable) => below.add(variable));
      visitIndexExprs(expr.index, (inner) => depends.get(inner)!.forEach((variable) => below.add(variable)));
    }
    for (const loop of loops) below.delete(loop);
    const arithmetic = expr.kind === "unary" || expr.kind === "binary" || expr.kind === "select" ||
      expr.kind === "reduce";
    if (expr.kind === "reduce") below.add(expr.variable);
    if (arithmetic) flops += extentOf([...below]);
    if (expr.kind === "reduce") below.delete(expr.variable);
    depends.set(expr, below);
  });
  return flops;
}

function bytesOf(kernel: Kernel): number {
  const loops = new Set(kernel.loops);
  const touched = { load: kernel.operands.map(() => 0), store: kernel.operands.map(() => 0) };
  for (const { operand, index, mode } of accessesOf(kernel)) touched[mode][operand] += elementsOf(index, kernel, loops);
  let bytes = 0;
  kernel.operands.forEach(({ dtype, size }, i) => {
    bytes += sizeOf(dtype) * (Math.min(size, touched.load[i]) + Math.min(size, touched.store[i]));
  });
  return bytes;
}

/** An upper bound on the number of elements that an index reaches in one launch. */
function elementsOf(index: Index, kernel: Kernel, loops: ReadonlySet<Var>): number {
  const variables = new Set<Var>();
  let computed = false;
  visitVars(index, (variable) => variables.add(variable));
  visitIndexExprs(index, () => {
    computed = true;
  });
  const reach = computed
    ? extentOf(spaceOf(kernel))
    : extentOf([...variables].filter((variable) => !loops.has(variable)));
  return Math.min(reach, index.max - index.min + 1);
}

/** Arithmetic of all launches of steps: loops count as often as they run. */
export function flopsOfSteps(steps: readonly Step[]): number {
  return steps.reduce(
    (sum, step) =>
      sum + (step.kind === "loop" ? step.variable.extent * flopsOfSteps(step.steps) : costOf(step.kernel).flops),
    0,
  );
}

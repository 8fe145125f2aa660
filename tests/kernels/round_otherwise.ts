/**
 * A schedule whose kernels round otherwise: each result of arithmetic on floats is off by up to about a unit in the
 * last place of f32, otherwise in each kernel and, in one kernel, otherwise in each pass over a row. Devices do such
 * things with fused multiply-adds and vectors. What a schedule computes may be off by as much, but may not depend on
 * one element being computed twice alike.
 */
import { isFloat } from "../../core/dtype.ts";
import { type Expr, ExprBuilder } from "../../core/expr.ts";
import type { Kernel, Store } from "../../kernels/kernel.ts";
import type { Schedule, Step } from "../../kernels/plan.ts";
import { uniformGenerator } from "../numeric.ts";

const UNIT = 2 ** -22;
const EXACT = new Set(["neg", "abs", "sign", "floor", "round", "not", "max", "min"]);

/** The same schedule, rounding otherwise. */
export function roundOtherwise(schedule: Schedule, seed: number): Schedule {
  const next = uniformGenerator(seed);
  const steps = (list: readonly Step[]): Step[] =>
    list.map((step) =>
      step.kind === "loop" ? { ...step, steps: steps(step.steps) } : { ...step, kernel: perturbed(step.kernel, next) }
    );
  return { ...schedule, steps: steps(schedule.steps) };
}

function perturbed(kernel: Kernel, next: () => number): Kernel {
  const e = new ExprBuilder();
  /** Copies the expressions of one pass. */
  const pass = (): (expr: Expr) => Expr => {
    const known = new Map<Expr, Expr>();
    const copy = (expr: Expr): Expr => {
      let out = known.get(expr);
      if (!out) known.set(expr, out = rounded(expr, rebuilt(expr)));
      return out;
    };
    const rebuilt = (expr: Expr): Expr => {
      switch (expr.kind) {
        case "load":
          return e.load(expr.operand, expr.index, expr.dtype);
        case "index":
          return e.index(expr.index, expr.dtype);
        case "inRange":
          return e.inRange(expr.index, expr.lo, expr.hi);
        case "const":
          return e.const(expr.value, expr.dtype);
        case "accumulator":
          return e.accumulator(expr.dtype, expr.state);
        case "unary":
          return e.unary(expr.op, copy(expr.x));
        case "binary":
          return e.binary(expr.op, copy(expr.lhs), copy(expr.rhs));
        case "select":
          return e.select(copy(expr.cond), copy(expr.then), copy(expr.otherwise));
        case "cast":
          return e.cast(copy(expr.x), expr.dtype);
        case "reduce":
          return reduced(expr);
      }
    };
    const rounded = (expr: Expr, out: Expr): Expr => {
      if ((expr.kind !== "unary" && expr.kind !== "binary") || !isFloat(expr.dtype) || EXACT.has(expr.op)) return out;
      return e.binary("mul", out, e.const(1 + UNIT * (next() - 0.5), expr.dtype));
    };
    return copy;
  };
  const reductions = new Map<Expr, Expr>();
  const reduced = (expr: Expr & { kind: "reduce" }): Expr => {
    let out = reductions.get(expr);
    if (!out) reductions.set(expr, out = e.reduce(expr.combine, expr.variable, pass()(expr.body)));
    return out;
  };
  const stores = (list: readonly Store[], copy = pass()): Store[] =>
    list.map((store) => ({ ...store, value: copy(store.value) }));
  switch (kernel.kind) {
    case "map":
      return { ...kernel, stores: stores(kernel.stores) };
    case "row":
      return { ...kernel, rowStores: stores(kernel.rowStores), elementStores: stores(kernel.elementStores) };
    case "contract":
      return { ...kernel, lhs: pass()(kernel.lhs), rhs: pass()(kernel.rhs), stores: stores(kernel.stores) };
    case "recurrence": {
      const copy = pass();
      return {
        ...kernel,
        states: kernel.states.map(({ a, b }) => ({ a: copy(a), b: copy(b) })),
        stores: stores(kernel.stores, copy),
      };
    }
    case "scatter":
      return { ...kernel, update: pass()(kernel.update) };
  }
}

/** Index arithmetic of the scheduler: splits and merges loop variables. */
import { type Expr, operandsOf } from "../../core/expr.ts";
import {
  addIndex,
  divIndex,
  type Index,
  makeVar,
  modIndex,
  scaleIndex,
  substituteIndex,
  type Var,
  varIndex,
} from "../../core/index_expr.ts";

/** Indices to substitute for loop variables, by variable id. */
export type Substitution = ReadonlyMap<number, Index>;

/** Visits an index and the operands of its divisions and remainders. */
export function visitIndex(index: Index, visit: (index: Index) => void): void {
  visit(index);
  for (const { atom } of index.terms) if (atom.kind === "div" || atom.kind === "mod") visitIndex(atom.of, visit);
}

/** A load expression. */
export type Load = Extract<Expr, { kind: "load" }>;

/**
 * Collects the indices of expressions: those of loads, range checks and index values, including those inside run-time
 * values of other indices.
 */
export class IndexCollector {
  readonly indices = new Map<string, Index>();
  readonly loads: Load[] = [];
  #seen = new Set<Expr>();

  /** Adds an index and the indices that its run-time values read. */
  index(index: Index): void {
    if (this.indices.has(index.key)) return;
    this.indices.set(index.key, index);
    visitIndex(index, ({ terms }) => {
      for (const { atom } of terms) if (atom.kind === "value") this.expr(atom.value);
    });
  }

  /** Adds the indices of an expression. */
  expr(root: Expr): void {
    const stack = [root];
    while (stack.length > 0) {
      const expr = stack.pop()!;
      if (this.#seen.has(expr)) continue;
      this.#seen.add(expr);
      if (expr.kind === "load") this.loads.push(expr);
      if (expr.kind === "load" || expr.kind === "index" || expr.kind === "inRange") this.index(expr.index);
      stack.push(...operandsOf(expr));
    }
  }
}

/** Transformed variables, and the sequence of substitutions that leads from the old ones to them. */
export interface Variables {
  readonly vars: readonly Var[];
  readonly stages: readonly Substitution[];
}

/**
 * Applies a sequence of substitutions to an index. They are not composed into one, since each stage is chosen so that
 * its own result simplifies; the parts of a composition might not recombine.
 * @param mapValue Maps the run-time values in the index.
 */
export function substituteStages(
  index: Index,
  stages: readonly Substitution[],
  mapValue?: (value: Expr) => Expr,
): Index {
  const last = stages.length - 1;
  if (last < 0) return mapValue ? substituteIndex(index, new Map(), mapValue) : index;
  return stages.reduce(
    (current, stage, at) => substituteIndex(current, stage, at === last ? mapValue : undefined),
    index,
  );
}

/** The smallest divisor of an exact division of this variable in any index; undefined if there is none. */
function splitPoint(variable: Var, indices: readonly Index[]): number | undefined {
  let best: number | undefined;
  for (const index of indices) {
    visitIndex(index, ({ terms }) => {
      for (const { atom } of terms) {
        if (atom.kind !== "div" && atom.kind !== "mod") continue;
        const { of, by } = atom;
        const isPlain = of.constant === 0 && of.terms.length === 1 && of.terms[0].coefficient === 1;
        const inner = isPlain ? of.terms[0].atom : undefined;
        if (inner?.kind !== "var" || inner.variable.id !== variable.id) continue;
        if (by > 1 && by < variable.extent && variable.extent % by === 0 && (best === undefined || by < best)) {
          best = by;
        }
      }
    });
  }
  return best;
}

/** Splits variables that indices divide: with `i = 16 a + b`, `i div 16` is `a` and `i mod 16` is `b`. */
export function splitVariables(vars: readonly Var[], indices: readonly Index[]): Variables {
  const current = [...vars];
  const replace = new Map<number, Index>();
  let rewritten = indices;
  for (let at = 0; at < current.length;) {
    const variable = current[at];
    const by = splitPoint(variable, rewritten);
    if (by === undefined) {
      at++;
      continue;
    }
    const high = makeVar(variable.name, variable.extent / by), low = makeVar(variable.name, by);
    const step = new Map([[variable.id, addIndex(scaleIndex(varIndex(high), by), varIndex(low))]]);
    rewritten = rewritten.map((index) => substituteIndex(index, step));
    for (const [id, index] of replace) replace.set(id, substituteIndex(index, step));
    step.forEach((index, id) => replace.set(id, index));
    current.splice(at, 1, high, low);
  }
  return { vars: current, stages: replace.size === 0 ? [] : [replace] };
}

function coefficientOf(index: Index, variable: Var): number {
  for (const { atom, coefficient } of index.terms) {
    if (atom.kind === "var" && atom.variable.id === variable.id) return coefficient;
  }
  return 0;
}

/**
 * Merges adjacent variables that every index traverses as if they were one, so that contiguous elementwise work becomes
 * one long variable.
 *
 * The old variables become `merged div extent` and `merged mod extent`, which is correct in any index and simplifies to
 * `merged` in the indices considered.
 */
export function mergeVariables(vars: readonly Var[], indices: readonly Index[]): Variables {
  const current = [...vars];
  const stages: Substitution[] = [];
  let rewritten = indices;
  for (let at = current.length - 2; at >= 0; at--) {
    const outer = current[at], inner = current[at + 1];
    let mergeable = true;
    for (const index of rewritten) {
      visitIndex(index, (part) => {
        if (coefficientOf(part, outer) !== inner.extent * coefficientOf(part, inner)) mergeable = false;
      });
    }
    if (!mergeable) continue;
    const merged = makeVar(inner.name, outer.extent * inner.extent);
    const step = new Map([[outer.id, divIndex(varIndex(merged), inner.extent)], [
      inner.id,
      modIndex(varIndex(merged), inner.extent),
    ]]);
    rewritten = rewritten.map((index) => substituteIndex(index, step));
    current.splice(at, 2, merged);
    stages.push(step);
  }
  return { vars: current, stages };
}

/**
 * Renames variables in order, so that equal kernels have equal texts and ids increase from the outermost variable in.
 */
export function renameVariables(vars: readonly Var[], names: readonly string[]): Variables {
  const fresh = vars.map((variable, at) => makeVar(names[at], variable.extent));
  return { vars: fresh, stages: [new Map(vars.map((variable, at) => [variable.id, varIndex(fresh[at])]))] };
}

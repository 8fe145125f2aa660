/**
 * Indices under substitution: how a kernel's indices look once its variables are parts of an invocation's number and of loop counters.
 *
 * Vectorising over a variable v is the substitution `v = 4 u + lane` with `0 <= lane < 4`: the index algebra itself then finds whether a load
 * is one aligned vec4 (`lane` occurs with coefficient 1 and the rest divides by 4), one scalar (it does not occur) or four scalars.
 */
import type { Expr } from "../../core/expr.ts";
import type { Index, Term, Var } from "../../core/index_expr.ts";
import { addIndex, constantIndex, divIndex, modIndex, scaleIndex, valueIndex, varIndex } from "../../core/index_expr.ts";

/** Replaces variables as `substituteIndex` does, and puts `q by + r` together where q and r are quotient and remainder of one index. */
export function rewriteIndex(index: Index, replace: ReadonlyMap<number, Index>): Index {
  let out = constantIndex(index.constant);
  for (const { atom, coefficient } of index.terms) {
    let value: Index;
    switch (atom.kind) {
      case "var":
        value = replace.get(atom.variable.id) ?? varIndex(atom.variable);
        break;
      case "div":
        value = divIndex(rewriteIndex(atom.of, replace), atom.by);
        break;
      case "mod":
        value = modIndex(rewriteIndex(atom.of, replace), atom.by);
        break;
      case "value":
        value = valueIndex(atom.value, atom.min, atom.max);
        break;
    }
    out = addIndex(out, scaleIndex(value, coefficient));
  }
  return recombine(out);
}

/** `c by (x div by) + c (x mod by)` is `c x`: what flattening a space and splitting it again leaves behind. */
function recombine(index: Index): Index {
  for (const { atom, coefficient } of index.terms) {
    if (atom.kind !== "mod") continue;
    const whole = addIndex(scaleIndex(modIndex(atom.of, atom.by), -1), scaleIndex(divIndex(atom.of, atom.by), -atom.by));
    const joined = addIndex(index, scaleIndex(addIndex(atom.of, whole), coefficient));
    if (joined.terms.length < index.terms.length) return recombine(joined);
  }
  return index;
}

/** Whether `index` always divides by 4. */
export function isAligned(index: Index): boolean {
  const rest = modIndex(index, 4);
  return rest.terms.length === 0 && rest.constant === 0;
}

/** Whether an index reads a variable; `reads` answers for run-time values. */
export function dependsOn(index: Index, variable: Var, reads: (value: Expr) => boolean): boolean {
  return index.terms.some((term) => termDependsOn(term, variable, reads));
}

function termDependsOn({ atom }: Term, variable: Var, reads: (value: Expr) => boolean): boolean {
  if (atom.kind === "var") return atom.variable.id === variable.id;
  return atom.kind === "value" ? reads(atom.value) : dependsOn(atom.of, variable, reads);
}

/** An index as `base + step * lane`. */
export interface LaneForm {
  readonly base: Index;
  readonly step: number;
}

/** How an index depends on the lane; undefined where it is not linear. */
export function laneForm(index: Index, lane: Var, reads: (value: Expr) => boolean): LaneForm | undefined {
  let step = 0;
  for (const term of index.terms) {
    if (term.atom.kind === "var" && term.atom.variable.id === lane.id) step = term.coefficient;
    else if (termDependsOn(term, lane, reads)) return undefined;
  }
  return { base: step === 0 ? index : addIndex(index, scaleIndex(varIndex(lane), -step)), step };
}

/** Adds `variable = value` to a substitution. */
export function assign(replace: Map<number, Index>, variables: readonly Var[], values: readonly Index[]): void {
  variables.forEach((variable, at) => replace.set(variable.id, values[at]));
}

/** Spreads a flat number over variables, the last one fastest. Numbers beyond the space overflow into the first variable. */
export function unflatten(flat: Index, variables: readonly Var[]): Index[] {
  let stride = 1;
  const values = variables.map(() => constantIndex(0));
  const first = variables.findIndex(({ extent }) => extent > 1);
  for (let axis = variables.length - 1; axis >= 0; axis--) {
    const extent = Math.max(1, variables[axis].extent);
    const quotient = divIndex(flat, stride);
    values[axis] = axis === first ? quotient : modIndex(quotient, extent);
    stride *= extent;
  }
  return values;
}

/** Number of points of a space. */
export function pointsOf(variables: readonly Var[]): number {
  return variables.reduce((points, { extent }) => points * extent, 1);
}

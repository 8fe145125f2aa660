/**
 * Index substitution, shared by all printers: rewrites the indices of a kernel after its variables have been expressed
 * by an invocation index and loop counters.
 *
 * Vectorizing over a variable v is the substitution `v = W u + lane` with `0 <= lane < W`. The index algebra then
 * determines whether a load is one contiguous vector (`lane` has coefficient 1 and the rest is a multiple of W), one
 * scalar (`lane` does not occur) or W scalars.
 */
import type { Expr } from "../../core/expr.ts";
import type { Index, Term, Var } from "../../core/index_expr.ts";
import { addIndex, constantIndex, divIndex, makeVar, modIndex, scaleIndex, varIndex } from "../../core/index_expr.ts";

/** Whether `index` is always a multiple of the number of lanes. */
export function isAligned(index: Index, lanes: number): boolean {
  const rest = modIndex(index, lanes);
  return rest.terms.length === 0 && rest.constant === 0;
}

/** Whether an index depends on a variable. `reads` answers for run-time values. */
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

/** How an index depends on the lane; undefined if the dependence is not linear. */
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

/** Unflattens an index over variables, the last one fastest. Indices out of range overflow into the first variable. */
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

/** The values of a space's variables at a flat index. */
export function assigned(space: readonly Var[], flat: Index): Map<number, Index> {
  const replace = new Map<number, Index>();
  assign(replace, space, unflatten(flat, space));
  return replace;
}

/** A traversal of a space in groups of points. */
export interface Walk {
  /** Values of the space's variables for a given group index. */
  replace(group: Index): Map<number, Index>;
  /** The variable along which the points of a group vary; undefined if each group is a single point. */
  readonly lane?: Var;
  /** Number of groups. */
  readonly groups: number;
}

/** Groups of contiguous points along one variable, whose extent is a multiple of the group size. */
export function walkAlong(space: readonly Var[], along: Var, lanes: number): Walk {
  const lane = makeVar("lane", lanes), group = makeVar("group", along.extent / lanes);
  const reduced = space.map((variable) => (variable === along ? group : variable));
  return {
    replace: (number) => {
      const replace = assigned(reduced, number);
      replace.set(along.id, addIndex(scaleIndex(replace.get(group.id)!, lanes), varIndex(lane)));
      return replace;
    },
    lane,
    groups: pointsOf(reduced),
  };
}

/** Random indices, and what they mean. */
import fc from "fast-check";
import {
  addIndex,
  constantIndex,
  divIndex,
  type Index,
  modIndex,
  scaleIndex,
  type Var,
  varIndex,
} from "../../core/index_expr.ts";

/** An index over variables, and the same as a plain function of their values. */
export interface IndexTree {
  readonly build: (vars: readonly Var[]) => Index;
  readonly value: (at: readonly number[]) => number;
}

/** The value of an index, given those of its variables by id. */
export function evaluateIndex(index: Index, at: ReadonlyMap<number, number>): number {
  return index.terms.reduce((sum, { atom, coefficient }) => {
    switch (atom.kind) {
      case "var":
        return sum + coefficient * at.get(atom.variable.id)!;
      case "div":
        return sum + coefficient * Math.floor(evaluateIndex(atom.of, at) / atom.by);
      case "mod":
        return sum + coefficient * (((evaluateIndex(atom.of, at) % atom.by) + atom.by) % atom.by);
      case "value":
        throw new Error("no run-time values here");
    }
  }, index.constant);
}

/** Random indices over three variables. */
export const indexTrees: fc.Arbitrary<IndexTree> = fc.letrec<{ tree: IndexTree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.nat(2).map((v) => ({
      build: (vars: readonly Var[]) => varIndex(vars[v]),
      value: (at: readonly number[]) => at[v],
    })),
    fc.integer({ min: -5, max: 40 }).map((c) => ({ build: () => constantIndex(c), value: () => c })),
    fc.tuple(tie("tree"), tie("tree")).map(([a, b]) => ({
      build: (vars: readonly Var[]) => addIndex(a.build(vars), b.build(vars)),
      value: (at: readonly number[]) => a.value(at) + b.value(at),
    })),
    fc.tuple(tie("tree"), fc.integer({ min: -3, max: 12 })).map(([a, c]) => ({
      build: (vars: readonly Var[]) => scaleIndex(a.build(vars), c),
      value: (at: readonly number[]) => a.value(at) * c,
    })),
    fc.tuple(tie("tree"), fc.integer({ min: 1, max: 12 })).map(([a, c]) => ({
      build: (vars: readonly Var[]) => divIndex(a.build(vars), c),
      value: (at: readonly number[]) => Math.floor(a.value(at) / c),
    })),
    fc.tuple(tie("tree"), fc.integer({ min: 1, max: 12 })).map(([a, c]) => ({
      build: (vars: readonly Var[]) => modIndex(a.build(vars), c),
      value: (at: readonly number[]) => ((a.value(at) % c) + c) % c,
    })),
  ),
})).tree;

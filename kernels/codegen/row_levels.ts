/** The passes of a row kernel, shared by all printers. */
import { type Expr, operandsOf } from "../../core/expr.ts";
import type { Index } from "../../core/index_expr.ts";
import type { RowKernel } from "../kernel.ts";

/** A reduction over the row. */
export type Reduce = Expr & { kind: "reduce" };

/** Groups reductions by dependency: those of a level read only results of earlier levels. */
export function levelsOf(kernel: RowKernel): Reduce[][] {
  const levels: Reduce[][] = [], known = new Map<number, number>();
  const visitIndex = (index: Index): number =>
    Math.max(
      0,
      ...index.terms.map((
        { atom },
      ) => (atom.kind === "value" ? visit(atom.value) : atom.kind === "var" ? 0 : visitIndex(atom.of))),
    );
  const visit = (expr: Expr): number => {
    const seen = known.get(expr.id);
    if (seen !== undefined) return seen;
    let level = Math.max(0, ...operandsOf(expr).map(visit));
    if (expr.kind === "load" || expr.kind === "index" || expr.kind === "inRange") level = visitIndex(expr.index);
    if (expr.kind === "reduce") {
      (levels[level] ??= []).push(expr);
      level++;
    }
    known.set(expr.id, level);
    return level;
  };
  for (const { value, index } of [...kernel.rowStores, ...kernel.elementStores]) {
    visit(value);
    visitIndex(index);
  }
  return levels;
}

/** Copying expressions, with other indices, operands or variables. */
import { type Expr, ExprBuilder } from "./expr.ts";
import type { Index, Var } from "./index_expr.ts";

/** What differs in the copy. */
export interface ExprChanges {
  /** The index in place of one. Values inside it are copied by `copy`. */
  index(index: Index, copy: (value: Expr) => Expr): Index;
  /** The operand and index of a load; `index` is the copied one. */
  load(operand: number, index: Index): { readonly operand: number; readonly index: Index };
  /** The variable of a reduction in place of one. */
  variable(variable: Var): Var;
}

/** Copies expressions into a new builder; shared subexpressions are copied once. */
export class ExprCopier {
  readonly #e = new ExprBuilder();
  readonly #memo = new Map<Expr, Expr>();
  readonly #indices = new Map<string, Index>();

  /** Copies with some changes. */
  constructor(readonly changes: ExprChanges) {}

  /** The copy of an expression. */
  expr(expr: Expr): Expr {
    let out = this.#memo.get(expr);
    if (!out) this.#memo.set(expr, out = this.#copy(expr));
    return out;
  }

  /** The copy of an index. */
  index(index: Index): Index {
    let out = this.#indices.get(index.key);
    if (!out) this.#indices.set(index.key, out = this.changes.index(index, (value) => this.expr(value)));
    return out;
  }

  #copy(expr: Expr): Expr {
    const e = this.#e;
    switch (expr.kind) {
      case "const":
        return e.const(expr.value, expr.dtype);
      case "index":
        return e.index(this.index(expr.index), expr.dtype);
      case "inRange":
        return e.inRange(this.index(expr.index), expr.lo, expr.hi);
      case "load": {
        const { operand, index } = this.changes.load(expr.operand, this.index(expr.index));
        return e.load(operand, index, expr.dtype);
      }
      case "unary":
        return e.unary(expr.op, this.expr(expr.x));
      case "binary":
        return e.binary(expr.op, this.expr(expr.lhs), this.expr(expr.rhs));
      case "select":
        return e.select(this.expr(expr.cond), this.expr(expr.then), this.expr(expr.otherwise));
      case "cast":
        return e.cast(this.expr(expr.x), expr.dtype);
      case "reduce":
        return e.reduce(expr.combine, this.changes.variable(expr.variable), this.expr(expr.body));
      case "accumulator":
        return e.accumulator(expr.dtype, expr.state);
    }
  }
}

/**
 * Evaluates scalar and index expressions in f64: to hold an op's `lower` against its `reference`, without a printer or
 * a device between.
 */
import { roundTo } from "../../core/dtype.ts";
import type { Expr } from "../../core/expr.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { binaryCode, castCode, scalarFunction, unaryCode } from "../kernels/scalar_code.ts";

/** What an expression is evaluated in: loop variables by number, and the elements of operands. */
export interface Environment {
  readonly variables: ReadonlyMap<number, number>;
  readonly load: (operand: number, offset: number) => number;
}

/** The value of an index. */
export function evaluateIndex(index: Index, environment: Environment): number {
  return index.terms.reduce((sum, { atom, coefficient }) => {
    switch (atom.kind) {
      case "var":
        return sum + coefficient * valueOf(atom.variable, environment);
      case "div":
        return sum + coefficient * Math.floor(evaluateIndex(atom.of, environment) / atom.by);
      case "mod": {
        const of = evaluateIndex(atom.of, environment);
        return sum + coefficient * (of - Math.floor(of / atom.by) * atom.by);
      }
      case "value":
        return sum + coefficient * evaluateExpr(atom.value, environment);
    }
  }, index.constant);
}

function valueOf(variable: Var, { variables }: Environment): number {
  const value = variables.get(variable.id);
  if (value === undefined) throw new Error(`the expression reads ${variable.name}, which is not bound`);
  return value;
}

/** The value of a scalar expression without reductions. */
export function evaluateExpr(expr: Expr, environment: Environment, known: Map<Expr, number> = new Map()): number {
  const present = known.get(expr);
  if (present !== undefined) return present;
  const of = (operand: Expr) => evaluateExpr(operand, environment, known);
  const compute = (): number => {
    switch (expr.kind) {
      case "const":
        return expr.value;
      case "index":
        return roundTo(expr.dtype, evaluateIndex(expr.index, environment));
      case "inRange": {
        const value = evaluateIndex(expr.index, environment);
        return Number(expr.lo <= value && value < expr.hi);
      }
      case "load":
        return environment.load(expr.operand, evaluateIndex(expr.index, environment));
      case "unary":
        return scalarFunction(unaryCode(expr.op, "x", expr.dtype))(of(expr.x), 0);
      case "binary":
        return scalarFunction(binaryCode(expr.op, "x", "y", { operands: expr.lhs.dtype, dtype: expr.dtype }))(
          of(expr.lhs),
          of(expr.rhs),
        );
      case "select":
        return of(expr.cond) !== 0 ? of(expr.then) : of(expr.otherwise);
      case "cast":
        return scalarFunction(castCode("x", expr.x.dtype, expr.dtype))(of(expr.x), 0);
      default:
        throw new Error(`an op's lower gives no ${expr.kind}`);
    }
  };
  const value = compute();
  known.set(expr, value);
  return value;
}

/** Rough execution times of expressions, accurate enough to choose between alternatives. */
import { type Expr, operandsOf } from "../../core/expr.ts";

/** Nanoseconds per element, with four lanes. */
export const TIMES = { load: 0.3, arithmetic: 0.1, division: 0.6, elementary: 2.5 } as const;

const ELEMENTARY: ReadonlySet<string> = new Set(["exp", "log", "tanh", "sigmoid", "erf", "sin", "cos", "pow"]);
const DIVISIONS: ReadonlySet<string> = new Set(["div", "mod", "sqrt", "rsqrt"]);

/**
 * Estimated nanoseconds per element of an expression. `counts` selects the parts that are computed per element; the
 * operands of all other parts are not visited.
 */
export function timeOf(expr: Expr, counts: (part: Expr) => boolean = () => true): number {
  const seen = new Set<Expr>();
  const visit = (part: Expr): number => {
    if (seen.has(part) || !counts(part)) return 0;
    seen.add(part);
    return operandsOf(part).reduce((sum, operand) => sum + visit(operand), ownTime(part));
  };
  return visit(expr);
}

function ownTime(part: Expr): number {
  switch (part.kind) {
    case "load":
      return TIMES.load;
    case "unary":
    case "binary":
      return ELEMENTARY.has(part.op) ? TIMES.elementary : DIVISIONS.has(part.op) ? TIMES.division : TIMES.arithmetic;
    case "select":
    case "inRange":
      return TIMES.arithmetic;
    default:
      return 0;
  }
}

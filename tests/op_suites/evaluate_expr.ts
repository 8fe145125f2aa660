/** Evaluates scalar and index expressions in f64: to hold an op's `lower` against its `reference`, without a printer or a device between. */
import { isFloat, roundTo } from "../../core/dtype.ts";
import type { BinaryOp, Expr, UnaryOp } from "../../core/expr.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { erfOf } from "../../ops/erf.ts";

/** What an expression is evaluated in: loop variables by number, and the elements of operands. */
export interface Environment {
  readonly variables: ReadonlyMap<number, number>;
  readonly load: (operand: number, offset: number) => number;
}

const UNARY: Readonly<Record<UnaryOp, (x: number) => number>> = {
  neg: (x) => -x,
  abs: Math.abs,
  sign: Math.sign,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  sin: Math.sin,
  cos: Math.cos,
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  erf: erfOf,
  floor: Math.floor,
  not: (x) => x === 0 ? 1 : 0,
};

const BINARY: Readonly<Record<BinaryOp, (x: number, y: number, isInteger: boolean) => number>> = {
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y, isInteger) => isInteger ? Math.imul(x, y) : x * y,
  div: (x, y, isInteger) => isInteger ? Math.trunc(x / y) : x / y,
  max: (x, y) => Math.max(x, y),
  min: (x, y) => Math.min(x, y),
  pow: (x, y) => Math.pow(x, y),
  mod: (x, y) => x % y,
  eq: (x, y) => Number(x === y),
  ne: (x, y) => Number(x !== y),
  lt: (x, y) => Number(x < y),
  le: (x, y) => Number(x <= y),
  gt: (x, y) => Number(x > y),
  ge: (x, y) => Number(x >= y),
  and: (x, y) => x & y,
  or: (x, y) => x | y,
  xor: (x, y) => x ^ y,
  shiftLeft: (x, y) => x << y,
  shiftRight: (x, y) => x >>> y,
};

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
        return evaluateIndex(expr.index, environment);
      case "inRange": {
        const value = evaluateIndex(expr.index, environment);
        return Number(expr.lo <= value && value < expr.hi);
      }
      case "load":
        return environment.load(expr.operand, evaluateIndex(expr.index, environment));
      case "unary":
        return UNARY[expr.op](of(expr.x));
      case "binary":
        return BINARY[expr.op](of(expr.lhs), of(expr.rhs), !isFloat(expr.lhs.dtype));
      case "select":
        return of(expr.cond) !== 0 ? of(expr.then) : of(expr.otherwise);
      case "cast":
        return expr.dtype === "bool" ? Number(of(expr.x) !== 0) : of(expr.x);
      default:
        throw new Error(`an op's lower gives no ${expr.kind}`);
    }
  };
  const value = isFloat(expr.dtype) ? compute() : roundTo(expr.dtype, compute());
  known.set(expr, value);
  return value;
}

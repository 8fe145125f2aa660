/**
 * Finds where expressions may be nonzero, and where they may depend on the accumulator, as unions of bands.
 *
 * Masks produce zeros: `where(key <= query, p, 0)` is zero for every later key, whatever p is; and in `where(key <=
 * query, scores, low)`, the scores of later keys are never used. Both are derived from conditions on indices. Any other
 * condition is assumed to be possibly true and possibly false.
 */
import { type Expr, operandsOf } from "../../core/expr.ts";
import { addIndex, constantIndex, divIndex, type Index, scaleIndex } from "../../core/index_expr.ts";
import { atLeastZero, EVERYWHERE, intersection, NOWHERE, type Region, union } from "./region.ts";

/** Finds regions of the expressions of one builder. */
export class RegionFinder {
  readonly #nonzero = new Map<Expr, Region>();
  readonly #reads = new Map<Expr, Region>();
  readonly #holds = new Map<Expr, Region>();
  readonly #fails = new Map<Expr, Region>();
  readonly #indices = new Map<Expr, Index | null>();

  /** Where a number may be nonzero. */
  nonzero(expr: Expr): Region {
    return remember(this.#nonzero, expr, () => this.#nonzeroNow(expr));
  }

  /** Where an expression may depend on the accumulator. */
  reads(expr: Expr): Region {
    return remember(this.#reads, expr, () => this.#readsNow(expr));
  }

  /** Where a condition may be true (`wanted`) or false. */
  condition(expr: Expr, wanted: boolean): Region {
    return remember(wanted ? this.#holds : this.#fails, expr, () => this.#conditionNow(expr, wanted));
  }

  #nonzeroNow(expr: Expr): Region {
    switch (expr.kind) {
      case "const":
        return expr.value === 0 ? NOWHERE : EVERYWHERE;
      case "select":
        return this.#chosen(expr, (side) => this.nonzero(side));
      case "unary":
        return ZERO_TO_ZERO.has(expr.op) ? this.nonzero(expr.x) : EVERYWHERE;
      case "cast":
        return expr.x.dtype === "bool" ? this.condition(expr.x, true) : this.nonzero(expr.x);
      case "binary":
        if (expr.dtype === "bool") return EVERYWHERE;
        if (expr.op === "mul") return intersection(this.nonzero(expr.lhs), this.nonzero(expr.rhs));
        if (expr.op === "div") return this.nonzero(expr.lhs);
        return SUMS.has(expr.op) ? union(this.nonzero(expr.lhs), this.nonzero(expr.rhs)) : EVERYWHERE;
      default:
        return EVERYWHERE;
    }
  }

  #readsNow(expr: Expr): Region {
    if (expr.kind === "accumulator") return EVERYWHERE;
    if (expr.kind === "select") return union(this.reads(expr.cond), this.#chosen(expr, (side) => this.reads(side)));
    if (expr.kind === "binary" && expr.op === "mul") {
      const { lhs, rhs } = expr;
      return union(intersection(this.reads(lhs), this.nonzero(rhs)), intersection(this.reads(rhs), this.nonzero(lhs)));
    }
    return operandsOf(expr).reduce((all, operand) => union(all, this.reads(operand)), NOWHERE);
  }

  /** The union over both sides of a select, each restricted to where it may be chosen. */
  #chosen({ cond, then, otherwise }: Extract<Expr, { kind: "select" }>, of: (side: Expr) => Region): Region {
    return union(
      intersection(this.condition(cond, true), of(then)),
      intersection(this.condition(cond, false), of(otherwise)),
    );
  }

  #conditionNow(expr: Expr, wanted: boolean): Region {
    switch (expr.kind) {
      case "const":
        return (expr.value !== 0) === wanted ? EVERYWHERE : NOWHERE;
      case "inRange": {
        const { index, lo, hi } = expr;
        return wanted
          ? intersection(below(constantIndex(lo), index), below(index, constantIndex(hi - 1)))
          : union(below(index, constantIndex(lo - 1)), below(constantIndex(hi), index));
      }
      case "unary":
        return expr.op === "not" ? this.condition(expr.x, !wanted) : EVERYWHERE;
      case "select": {
        const branch = (side: Expr, holds: boolean) =>
          intersection(this.condition(expr.cond, holds), this.condition(side, wanted));
        return union(branch(expr.then, true), branch(expr.otherwise, false));
      }
      case "binary":
        if ((expr.op === "and" || expr.op === "or") && expr.lhs.dtype === "bool") {
          const both = (expr.op === "and") === wanted;
          return (both ? intersection : union)(this.condition(expr.lhs, wanted), this.condition(expr.rhs, wanted));
        }
        return this.#comparison(expr, wanted);
      default:
        return EVERYWHERE;
    }
  }

  #comparison({ op, lhs, rhs }: Extract<Expr, { kind: "binary" }>, wanted: boolean): Region {
    const x = this.#asIndex(lhs), y = this.#asIndex(rhs);
    if (!x || !y) return EVERYWHERE;
    switch (wanted ? op : OPPOSITES[op]) {
      case "le":
        return below(x, y);
      case "ge":
        return below(y, x);
      case "lt":
        return below(addIndex(x, 1), y);
      case "gt":
        return below(addIndex(y, 1), x);
      case "eq":
        return intersection(below(x, y), below(y, x));
      case "ne":
        return union(below(addIndex(x, 1), y), below(addIndex(y, 1), x));
      default:
        return EVERYWHERE;
    }
  }

  /** A number as an index. Undefined if it is not one, might be rounded or overflow, or is too complex to be useful. */
  #asIndex(expr: Expr): Index | undefined {
    return remember(this.#indices, expr, () => {
      const index = this.#asIndexNow(expr),
        most = expr.dtype === "f16" ? 2 ** 11 : expr.dtype === "bf16" ? 2 ** 8 : 2 ** 24;
      if (!index || index.size > MAX_SIZE || Math.max(Math.abs(index.min), Math.abs(index.max)) > most) return null;
      return expr.dtype === "u32" && index.min < 0 ? null : index;
    }) ?? undefined;
  }

  #asIndexNow(expr: Expr): Index | undefined {
    switch (expr.kind) {
      case "const":
        return Number.isInteger(expr.value) ? constantIndex(expr.value) : undefined;
      case "index":
        return expr.index;
      case "cast":
        return expr.x.dtype === "bool" || expr.dtype === "bool" ? undefined : this.#asIndex(expr.x);
      case "unary": {
        const x = expr.op === "neg" ? this.#asIndex(expr.x) : undefined;
        return x && scaleIndex(x, -1);
      }
      case "binary": {
        const x = this.#asIndex(expr.lhs), y = this.#asIndex(expr.rhs);
        if (!x || !y) return undefined;
        if (expr.op === "add") return addIndex(x, y);
        if (expr.op === "sub") return addIndex(x, scaleIndex(y, -1));
        if (expr.op === "mul" && y.terms.length === 0) return scaleIndex(x, y.constant);
        if (expr.op === "mul" && x.terms.length === 0) return scaleIndex(y, x.constant);
        // Integer division truncates, which equals floor if nothing is negative. Float division is not an index.
        const isWhole = expr.op === "div" && (expr.dtype === "i32" || expr.dtype === "u32");
        return isWhole && x.min >= 0 && y.terms.length === 0 && y.constant > 0 ? divIndex(x, y.constant) : undefined;
      }
      default:
        return undefined;
    }
  }
}

/** Limit on the atoms of an index. Beyond it analysis is given up, since nested repetition grows exponentially. */
const MAX_SIZE = 32;

/** Functions that map zero to zero. */
const ZERO_TO_ZERO: ReadonlySet<string> = new Set([
  "neg",
  "abs",
  "sign",
  "sqrt",
  "sin",
  "tanh",
  "erf",
  "floor",
  "round",
]);
/** Functions that are zero if both operands are zero. */
const SUMS: ReadonlySet<string> = new Set(["add", "sub", "max", "min"]);

/** The negation of each comparison. */
const OPPOSITES: Readonly<Record<string, string>> = { lt: "ge", ge: "lt", le: "gt", gt: "le", eq: "ne", ne: "eq" };

function remember<K, V>(known: Map<K, V>, key: K, make: () => V): V {
  let value = known.get(key);
  if (value === undefined) known.set(key, value = make());
  return value;
}

/** The points at which `low <= high`. */
function below(low: Index, high: Index): Region {
  return atLeastZero(addIndex(high, scaleIndex(low, -1)));
}

/**
 * A canonical text of a kernel, equal for kernels that differ only in the ids of their variables and expressions:
 * identical layers have equal kernels, and a device prints one of them.
 */
import type { Expr } from "../core/expr.ts";
import type { Index, Var } from "../core/index_expr.ts";
import { spaceOf, visitKernelExprs } from "./cost.ts";
import type { Kernel, Store } from "./kernel.ts";

/**
 * The parts of a kernel that printers read, without its origins, as text: kernels with equal keys are printed alike.
 */
export function kernelKey(kernel: Kernel): string {
  const { kind, operands, loops } = kernel;
  const namer = new Namer([...loops, ...spaceOf(kernel)]);
  const lines = [
    kind,
    `${loops.length}`,
    ...operands.map(({ dtype, size, access }) => `${dtype} ${size} ${access}`),
    ...namer.variables.map(({ name, extent }) => `${name} ${extent}`),
  ];
  visitKernelExprs(kernel, (expr) => lines.push(namer.define(expr)));
  lines.push(...rootsOf(kernel, namer));
  return lines.join("\n");
}

/** The expressions of a kernel, in an order defined per kind. */
function rootsOf(kernel: Kernel, { of, at }: Namer): string[] {
  const store = ({ operand, index, value }: Store): string => `${operand}[${at(index)}]=${of(value)}`;
  switch (kernel.kind) {
    case "map":
      return kernel.stores.map(store);
    case "row":
      return [...kernel.rowStores.map(store), "each", ...kernel.elementStores.map(store)];
    case "contract": {
      const { lhs, rhs, mask, stores } = kernel;
      return [of(lhs), of(rhs), ...mask.map((band) => band.map(at).join()), ...stores.map(store)];
    }
    case "recurrence": {
      const { reverse, states, stores } = kernel;
      return [`${reverse}`, ...states.map(({ a, b }) => `${of(a)} ${of(b)}`), ...stores.map(store)];
    }
    case "scatter": {
      const { target, index, valid, update } = kernel;
      return [of(valid), store({ operand: target, index, value: update })];
    }
  }
}

/** Numbers variables by position in the kernel, and expressions in the order in which they are visited. */
class Namer {
  readonly #variables: ReadonlyMap<number, number>;
  readonly #exprs = new Map<number, number>();
  readonly #indices = new Map<string, string>();

  constructor(readonly variables: readonly Var[]) {
    this.#variables = new Map(variables.map(({ id }, at) => [id, at]));
  }

  /** The name of an expression that was already defined. */
  readonly of = ({ id }: Expr): string => `e${this.#exprs.get(id)!}`;

  /** An index in these names. */
  readonly at = ({ key }: Index): string => {
    let text = this.#indices.get(key);
    if (text === undefined) {
      text = key.replace(
        /v[a-z](\d+)|e(\d+)/g,
        (_, variable, expr) =>
          variable === undefined ? `e${this.#exprs.get(Number(expr))!}` : `v${this.#variables.get(Number(variable))!}`,
      );
      this.#indices.set(key, text);
    }
    return text;
  };

  /** The definition of an expression as text; assigns its name. */
  define(expr: Expr): string {
    this.#exprs.set(expr.id, this.#exprs.size);
    return definitionOf(expr, {
      of: this.of,
      at: this.at,
      load: ({ dtype, operand, index }) => `${dtype} ${operand}[${this.at(index)}]`,
      variable: ({ id }) => `v${this.#variables.get(id)!}`,
    });
  }
}

/** What the parts of an expression are called. */
export interface ExprNames {
  /** An operand. */
  of(expr: Expr): string;
  at(index: Index): string;
  load(expr: Extract<Expr, { readonly kind: "load" }>): string;
  variable(variable: Var): string;
}

/** The definition of an expression as text: equal for equal ones, with equal names. */
export function definitionOf(expr: Expr, { of, at, load, variable }: ExprNames): string {
  const { dtype } = expr;
  switch (expr.kind) {
    case "const":
      return `${dtype} ${Object.is(expr.value, -0) ? "-0" : expr.value}`;
    case "index":
      return `${dtype} index ${at(expr.index)}`;
    case "inRange":
      return `${at(expr.index)} in ${expr.lo} ${expr.hi}`;
    case "load":
      return load(expr);
    case "unary":
      return `${expr.op} ${of(expr.x)}`;
    case "binary":
      return `${expr.op} ${of(expr.lhs)} ${of(expr.rhs)}`;
    case "select":
      return `select ${of(expr.cond)} ${of(expr.then)} ${of(expr.otherwise)}`;
    case "cast":
      return `${dtype} of ${of(expr.x)}`;
    case "reduce":
      return `${expr.combine} ${variable(expr.variable)} ${of(expr.body)}`;
    case "accumulator":
      return `${dtype} accumulator ${expr.state}`;
  }
}

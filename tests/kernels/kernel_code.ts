/**
 * Kernels as JavaScript, for the evaluators of schedules and plans: what a printer makes of a kernel, in the plainest
 * form there is. Where its elements mask is the affair of the {@link KernelMemory} that it runs on.
 *
 * An expression that is used once is written where it is used. One that is used more often becomes a function that
 * keeps its value until a variable changes. So the side of a `select` that is not chosen is never computed, and what it
 * would load is never loaded.
 */
import { isFloat } from "../../core/dtype.ts";
import { type Expr, identityOf, operandsOf } from "../../core/expr.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import type { ContractKernel, Kernel, Store } from "../../kernels/kernel.ts";
import { binaryCode, castCode, constantCode, HELPER_PATTERN, HELPERS, unaryCode, wrapCode } from "./scalar_code.ts";

/** What a kernel does to memory. */
export interface KernelMemory {
  /** The element of an operand at an element offset. */
  load(operand: number, index: number): number;
  /** Sets it. */
  store(operand: number, index: number, value: number): void;
  /** A new invocation starts: nothing may be assumed of the order of invocations. */
  invocation(): void;
}

/** A kernel that can run: on a memory, with the values of the enclosing loops' variables by id. */
export type KernelFunction = (memory: KernelMemory, loops: ReadonlyMap<number, number>) => void;

/**
 * How the terms of a product that no band of its `mask` holds are treated: counted like all others, or left out.
 * Printers may do either.
 */
export type DeadTerms = "count" | "skip";

/** Expressions nested deeper than this are cut into functions: parsers and stacks have limits. */
const MAX_DEPTH = 40;

const compiled: Readonly<Record<DeadTerms, WeakMap<Kernel, KernelFunction>>> = {
  count: new WeakMap(),
  skip: new WeakMap(),
};

/** A kernel as a function, compiled once. */
export function compileKernel(kernel: Kernel, deadTerms: DeadTerms): KernelFunction {
  const known = compiled[kernel.kind === "contract" && kernel.mask.length > 0 ? deadTerms : "count"];
  let made = known.get(kernel);
  if (!made) known.set(kernel, made = compileNow(kernel, deadTerms));
  return made;
}

function compileNow(kernel: Kernel, deadTerms: DeadTerms): KernelFunction {
  const code = new Code(rootsOf(kernel));
  const body = kernelBody(kernel, code, deadTerms);
  const bound = kernel.loops.map(({ id }) => `v${id} = loops.get(${id});`).join(" ");
  kernel.loops.forEach((variable) => code.declare(variable));
  const source =
    `"use strict";\nconst ${HELPER_PATTERN} = helpers;\nreturn (memory, loops) => {\nlet stamp = 0, point = 0;\nconst accumulators = [];\n` +
    `${code.declarations()}\n${bound}\n${body}\n};`;
  return new Function("helpers", source)(HELPERS) as KernelFunction;
}

/** The expressions that a kernel evaluates from, those inside the indices of its stores among them. */
function rootsOf(kernel: Kernel): readonly Expr[] {
  const ofStores = (stores: readonly Store[]): Expr[] =>
    stores.flatMap(({ index, value }) => [value, ...valuesOf(index)]);
  switch (kernel.kind) {
    case "map":
      return ofStores(kernel.stores);
    case "row":
      return ofStores([...kernel.rowStores, ...kernel.elementStores]);
    case "contract":
      return [kernel.lhs, kernel.rhs, ...ofStores(kernel.stores)];
    case "recurrence":
      return [...kernel.states.flatMap(({ a, b }) => [a, b]), ...ofStores(kernel.stores)];
    case "scatter":
      return [kernel.valid, kernel.update, ...valuesOf(kernel.index)];
  }
}

/** The run-time values that an index reads. */
function valuesOf({ terms }: Index): Expr[] {
  return terms.flatMap((
    { atom },
  ) => (atom.kind === "value" ? [atom.value] : atom.kind === "var" ? [] : valuesOf(atom.of)));
}

/** Stores of one point. All values are computed before any is stored: an operand may be updated in place. */
function storesCode(kernel: Kernel, stores: readonly Store[], code: Code): string {
  const values = stores.map(({ operand, value }, at) => {
    const { dtype } = kernel.operands[operand];
    if (dtype !== value.dtype) {
      throw new Error(`${kernel.kind} kernel (${kernel.origins.join(", ")}): stores ${value.dtype} in ${dtype}`);
    }
    return `const value${at} = ${code.expr(value)};`;
  });
  const puts = stores.map(({ operand, index }, at) => `memory.store(${operand}, ${code.index(index)}, value${at});`);
  return `{ ${[...values, ...puts].join("\n")} }`;
}

const NEXT_POINT = "memory.invocation(); stamp++; point++;";

function kernelBody(kernel: Kernel, code: Code, deadTerms: DeadTerms): string {
  switch (kernel.kind) {
    case "map":
      return nest(code, kernel.space, `${NEXT_POINT}\n${storesCode(kernel, kernel.stores, code)}`);
    case "row": {
      const { space, row, rowStores, elementStores } = kernel;
      code.declare(row);
      const elements = elementStores.length === 0
        ? ""
        : nest(code, [row], `stamp++;\n${storesCode(kernel, elementStores, code)}`);
      return nest(code, space, `${NEXT_POINT}\n${storesCode(kernel, rowStores, code)}\n${elements}`);
    }
    case "contract":
      return contractBody(kernel, code, deadTerms);
    case "recurrence": {
      const { space, time, reverse, states, stores } = kernel;
      code.declare(time);
      const steps = states.map(({ a, b }, number) => {
        const product = isFloat(b.dtype)
          ? `${code.expr(a)} * states[${number}]`
          : `imul(${code.expr(a)}, states[${number}])`;
        return `accumulators[${number}] = ${wrapCode(`(${product} + ${code.expr(b)})`, b.dtype)}; stamp++;`;
      });
      const turn =
        `v${time.id} = ${reverse ? `${time.extent - 1} - step` : "step"}; stamp++; accumulators.length = 0;\n${
          steps.join("\n")
        }\n` +
        `for (let i = 0; i < ${states.length}; i++) states[i] = accumulators[i];\n${storesCode(kernel, stores, code)}`;
      const walk =
        `const states = new Array(${states.length}).fill(0);\nfor (let step = 0; step < ${time.extent}; step++) {\n${turn}\n}`;
      return nest(code, space, `${NEXT_POINT}\n${walk}`);
    }
    case "scatter": {
      const { space, position, target, index, valid, update } = kernel;
      const sum = wrapCode(`(memory.load(${target}, at) + ${code.expr(update)})`, update.dtype);
      const add = `stamp++;\nif (${code.expr(valid)}) { const at = ${
        code.index(index)
      }; memory.store(${target}, at, ${sum}); }`;
      return nest(code, space, `${NEXT_POINT}\n${nest(code, [position], add)}`);
    }
  }
}

function contractBody(kernel: ContractKernel, code: Code, deadTerms: DeadTerms): string {
  const { batch, m, n, k, lhs, rhs, stores, mask } = kernel;
  code.declare(k);
  const bands = mask.map((band) =>
    band.length === 0 ? "true" : band.map((index) => `${code.index(index)} >= 0`).join(" && ")
  );
  const counts = deadTerms === "count" || mask.length === 0
    ? ""
    : `if (${bands.map((band) => `(${band})`).join(" || ")}) `;
  const sum = nest(code, [k], `stamp++;\n${counts}total += ${code.expr(lhs)} * ${code.expr(rhs)};`);
  return nest(
    code,
    [...batch, m, n],
    `${NEXT_POINT}\nlet total = 0;\n${sum}\naccumulators[0] = total; stamp++;\n${storesCode(kernel, stores, code)}`,
  );
}

function nest(code: Code, variables: readonly Var[], body: string): string {
  return variables.toReversed().reduce((inner, variable) => {
    code.declare(variable);
    const name = `v${variable.id}`;
    return `for (${name} = 0; ${name} < ${variable.extent}; ${name}++) {\n${inner}\n}`;
  }, body);
}

interface Text {
  readonly text: string;
  readonly depth: number;
}

/** The expressions of one kernel as texts, and the declarations that these need. */
class Code {
  readonly #texts = new Map<Expr, Text>();
  readonly #variables = new Set<number>();
  readonly #lines: string[] = [];

  constructor(roots: readonly Expr[]) {
    const { order, uses } = ordered(roots);
    for (const expr of order) this.#texts.set(expr, this.#bind(expr, uses.get(expr)!));
  }

  declarations(): string {
    return this.#lines.join("\n");
  }

  declare({ id }: Var): void {
    if (this.#variables.has(id)) return;
    this.#variables.add(id);
    this.#lines.push(`let v${id} = 0;`);
  }

  expr(expr: Expr): string {
    return this.#texts.get(expr)!.text;
  }

  index({ terms, constant }: Index): string {
    const parts = terms.map(({ atom, coefficient }) => {
      const text = atom.kind === "var"
        ? `v${atom.variable.id}`
        : atom.kind === "value"
        ? this.expr(atom.value)
        : `${atom.kind === "div" ? "floorDivide" : "floorModulo"}(${this.index(atom.of)}, ${atom.by})`;
      return coefficient === 1 ? text : `${constantCode(coefficient)} * ${text}`;
    });
    return parts.length === 0
      ? constantCode(constant)
      : `(${[...parts, ...(constant === 0 ? [] : [constantCode(constant)])].join(" + ")})`;
  }

  #bind(expr: Expr, uses: number): Text {
    const name = `x${this.#texts.size}`;
    if (expr.kind === "reduce") {
      this.#reduction(name, expr);
      return { text: `${name}()`, depth: 1 };
    }
    const text = this.#value(expr);
    const depth = 1 + childrenOf(expr).reduce((most, child) => Math.max(most, this.#texts.get(child)!.depth), 0);
    if (expr.kind === "const" || (uses === 1 && depth < MAX_DEPTH)) return { text, depth };
    this.#lines.push(`let s${name} = -1, k${name} = 0;`);
    this.#lines.push(
      `const ${name} = () => { if (s${name} !== stamp) { k${name} = ${text}; s${name} = stamp; } return k${name}; };`,
    );
    return { text: `${name}()`, depth: 1 };
  }

  #value(expr: Expr): string {
    switch (expr.kind) {
      case "const":
        return constantCode(expr.value);
      case "index":
        return wrapCode(this.index(expr.index), expr.dtype);
      case "inRange":
        return `((i) => i >= ${expr.lo} && i < ${expr.hi} ? 1 : 0)(${this.index(expr.index)})`;
      case "load":
        return `memory.load(${expr.operand}, ${this.index(expr.index)})`;
      case "unary":
        return unaryCode(expr.op, this.expr(expr.x), expr.dtype);
      case "binary":
        return binaryCode(expr.op, this.expr(expr.lhs), this.expr(expr.rhs), {
          operands: expr.lhs.dtype,
          dtype: expr.dtype,
        });
      case "select":
        return `(${this.expr(expr.cond)} ? ${this.expr(expr.then)} : ${this.expr(expr.otherwise)})`;
      case "cast":
        return castCode(this.expr(expr.x), expr.x.dtype, expr.dtype);
      case "accumulator":
        return `accumulators[${expr.state}]`;
      case "reduce":
        throw new Error("a reduction is a loop and has no text of its own");
    }
  }

  /** A loop over the row, once for each point of the space; the row's variable is put back afterwards. */
  #reduction(name: string, { combine, variable, body, dtype }: Extract<Expr, { kind: "reduce" }>): void {
    this.declare(variable);
    const element = this.expr(body), row = `v${variable.id}`;
    const start = combine === "argmax" ? "0, best = 0" : constantCode(identityOf(combine, dtype));
    const step = combine === "sum"
      ? `total = ${wrapCode(`(total + ${element})`, dtype)};`
      : combine === "argmax"
      ? `const y = ${element}; if (${row} === 0 || y > total || (y !== y && total === total)) { total = y; best = ${row}; }`
      : `total = ${combine}(total, ${element});`;
    this.#lines.push(`let s${name} = -1, k${name} = 0;`);
    this.#lines.push(
      `const ${name} = () => { if (s${name} === point) return k${name};\nconst before = ${row}; let total = ${start};\n` +
        `for (${row} = 0; ${row} < ${variable.extent}; ${row}++) { stamp++; ${step} }\n` +
        `${row} = before; stamp++; s${name} = point; return k${name} = ${combine === "argmax" ? "best" : "total"}; };`,
    );
  }
}

/** What an expression is computed from: its operands, and the run-time values inside its index. */
function childrenOf(expr: Expr): readonly Expr[] {
  return expr.kind === "load" || expr.kind === "index" || expr.kind === "inRange"
    ? valuesOf(expr.index)
    : operandsOf(expr);
}

/**
 * All expressions under some roots, each after what it is computed from, and how many others use it. Without recursion:
 * chains may be long.
 */
function ordered(roots: readonly Expr[]): { order: Expr[]; uses: Map<Expr, number> } {
  const uses = new Map<Expr, number>(), order: Expr[] = [], done = new Set<Expr>();
  const stack: { expr: Expr; children: readonly Expr[]; next: number }[] = [];
  const use = (expr: Expr): void => {
    const count = uses.get(expr) ?? 0;
    uses.set(expr, count + 1);
    if (count === 0) stack.push({ expr, children: childrenOf(expr), next: 0 });
  };
  for (const root of roots) {
    use(root);
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      if (top.next < top.children.length) use(top.children[top.next++]);
      else {
        stack.pop();
        if (!done.has(top.expr)) order.push(top.expr);
        done.add(top.expr);
      }
    }
  }
  return { order, uses };
}

/**
 * Runs schedules in plain f64 JavaScript, checking what a device cannot: every access lies inside its operand, no invocation reads or writes what another
 * one of the same kernel writes, no kernel writes an input, and temporaries start as NaN so that reading too early shows.
 */
import { type DType, isFloat, roundTo } from "../../core/dtype.ts";
import { type Expr, identityOf } from "../../core/expr.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { sizeOfShape } from "../../core/shape.ts";
import type { Kernel, Store } from "../../kernels/kernel.ts";
import type { KernelStep, Schedule, Step } from "../../kernels/plan.ts";
import { erfOf } from "../../ops/erf.ts";

/** What generated code may call. */
interface Runtime {
  load(operand: number, index: number): number;
  store(operand: number, index: number, value: number): void;
  /** A new invocation starts. */
  invocation(): void;
  erf(x: number): number;
  round(dtype: DType, value: number): number;
}

type Run = (runtime: Runtime, loops: ReadonlyMap<number, number>) => void;

/** The outputs of a schedule. */
export function evaluateSchedule(schedule: Schedule, inputs: readonly ArrayLike<number>[]): Float64Array[] {
  return new Machine(schedule, inputs).run();
}

/** One value's memory and who touched it last. */
interface Memory {
  readonly data: Float64Array;
  readonly writer: Int32Array;
  readonly reader: Int32Array;
  /** Stamp of the kernel in which more than one invocation read the element. */
  readonly shared: Int32Array;
}

class Machine {
  readonly #memories = new Map<number, Memory>();
  readonly #compiled = new Map<Kernel, Run>();
  #stamp = 0;

  constructor(readonly schedule: Schedule, inputs: readonly ArrayLike<number>[]) {
    for (const { id, type, storage } of schedule.values) {
      if (storage.kind === "alias") continue;
      const size = Math.max(1, sizeOfShape(type.shape));
      const data = new Float64Array(size).fill(NaN);
      if (storage.kind === "constant") data.set(storage.data);
      if (storage.kind === "input") data.set(Float64Array.from(inputs[storage.position]));
      this.#memories.set(id, { data, writer: new Int32Array(size), reader: new Int32Array(size), shared: new Int32Array(size) });
    }
    for (const { id, storage } of schedule.values) {
      if (storage.kind === "output" && storage.takes !== undefined) this.#memories.set(id, this.#memories.get(schedule.inputs[storage.takes])!);
    }
  }

  run(): Float64Array[] {
    this.#steps(this.schedule.steps, new Map());
    return this.schedule.outputs.map((id) => this.#memories.get(id)!.data.subarray(0, sizeOfShape(this.schedule.values[id].type.shape)));
  }

  #steps(steps: readonly Step[], loops: Map<number, number>): void {
    for (const step of steps) {
      if (step.kind === "kernel") {
        this.#kernel(step, loops);
        continue;
      }
      const { extent, id } = step.variable;
      for (let i = 0; i < extent; i++) {
        loops.set(id, step.reverse ? extent - 1 - i : i);
        this.#steps(step.steps, loops);
      }
      loops.delete(id);
    }
  }

  #kernel(step: KernelStep, loops: ReadonlyMap<number, number>): void {
    const { kernel } = step;
    let run = this.#compiled.get(kernel);
    if (!run) this.#compiled.set(kernel, run = compileKernel(kernel));
    const fail = (message: string): never => {
      throw new Error(`${kernel.kind} kernel (${kernel.origins.join(", ")}): ${message}`);
    };
    const operands = step.operands.map((id, at) => {
      const value = this.schedule.values[id], { storage } = value;
      const owner = storage.kind === "alias" ? storage.of : id;
      const offset = storage.kind === "alias" ? storage.byteOffset / 4 : 0;
      const operand = kernel.operands[at];
      if (storage.kind === "alias" && storage.byteOffset % 256 !== 0) fail(`operand ${at} is a part at byte ${storage.byteOffset}`);
      if (operand.dtype !== value.type.dtype) fail(`operand ${at} is ${operand.dtype}, its value ${value.type.dtype}`);
      if (operand.size > Math.max(1, sizeOfShape(value.type.shape))) fail(`operand ${at} has ${operand.size} elements, its value ${value.type.shape}`);
      if (operand.access !== "read" && this.schedule.values[owner].storage.kind === "input") fail(`operand ${at} writes an input`);
      return { ...this.#memories.get(owner)!, offset, operand };
    });
    if (new Set(step.operands.map((id) => this.schedule.values[id].storage.kind === "alias" ? id : id)).size !== step.operands.length) fail("an operand twice");
    const start = ++this.#stamp;
    let now = start;
    run({
      load: (at, index) => {
        const { data, writer, reader, shared, offset, operand } = operands[at];
        if (!(index >= 0 && index < operand.size)) fail(`loads element ${index} of operand ${at}, which has ${operand.size}`);
        if (operand.access === "write") fail(`loads operand ${at}, which is only written`);
        const where = index + offset;
        if (writer[where] >= start && writer[where] !== now) fail(`loads element ${index} of operand ${at}, which another invocation stores`);
        if (reader[where] >= start && reader[where] !== now) shared[where] = start;
        reader[where] = now;
        return data[where];
      },
      store: (at, index, value) => {
        const { data, writer, reader, shared, offset, operand } = operands[at];
        if (!(index >= 0 && index < operand.size)) fail(`stores element ${index} of operand ${at}, which has ${operand.size}`);
        if (operand.access === "read") fail(`stores operand ${at}, which is only read`);
        const where = index + offset;
        const clash = (writer[where] >= start && writer[where] !== now) || (reader[where] >= start && reader[where] !== now) || shared[where] === start;
        if (clash) fail(`stores element ${index} of operand ${at}, which another invocation reads or stores`);
        writer[where] = now;
        data[where] = value;
      },
      invocation: () => {
        now = ++this.#stamp;
      },
      erf: erfOf,
      round: roundTo,
    }, loops);
    this.#stamp++;
  }
}

/** Turns a kernel into JavaScript. */
function compileKernel(kernel: Kernel): Run {
  const code = new Code();
  for (const variable of kernel.loops) code.line(`let v${variable.id} = loops.get(${variable.id});`);
  const body = kernelBody(kernel, code);
  const source = `"use strict";\nlet stamp = 0, point = 0;\n${code.declarations()}\n${body}`;
  return new Function("runtime", "loops", `const {load, store, round, erf} = runtime;\n${source}`) as Run;
}

function kernelBody(kernel: Kernel, code: Code): string {
  // All values of a point are computed before any is stored: an operand may be updated in place.
  const stores = (list: readonly Store[]): string => {
    const values = list.map(({ operand, value }, at) => {
      if (kernel.operands[operand].dtype !== value.dtype) throw new Error(`stores ${value.dtype} in ${kernel.operands[operand].dtype}`);
      return `const value${at} = ${code.expr(value)};`;
    });
    const puts = list.map(({ operand, index }, at) => `store(${operand}, ${code.index(index)}, value${at});`);
    return `{ ${[...values, ...puts].join("\n")} }`;
  };
  const perPoint = `runtime.invocation(); stamp++; point++;`;
  switch (kernel.kind) {
    case "map":
      return nest(code, kernel.space, `${perPoint}\n${stores(kernel.stores)}`);
    case "row": {
      const { row, rowStores, elementStores } = kernel;
      code.declare(row);
      const elements = elementStores.length === 0 ? "" : nest(code, [row], `stamp++;\n${stores(elementStores)}`);
      return nest(code, kernel.space, `${perPoint}\n${stores(rowStores)}\n${elements}`);
    }
    case "contract": {
      code.declare(kernel.k);
      const sum = nest(code, [kernel.k], `stamp++;\ntotal += ${code.expr(kernel.lhs)} * ${code.expr(kernel.rhs)};`);
      return nest(
        code,
        [...kernel.batch, kernel.m, kernel.n],
        `${perPoint}\nlet total = 0;\n${sum}\naccumulators[0] = total; stamp++;\n${stores(kernel.stores)}`,
      );
    }
    case "recurrence": {
      const { time, reverse } = kernel;
      code.declare(time);
      const step = `v${time.id} = ${reverse ? `${time.extent - 1} - step` : "step"}; stamp++;\n` +
        kernel.states.map(({ a, b }, number) => {
          const product = isFloat(b.dtype) ? `${code.expr(a)} * states[${number}]` : `Math.imul(${code.expr(a)}, states[${number}])`;
          return `accumulators[${number}] = round("${b.dtype}", ${product} + ${code.expr(b)}); stamp++;\n`;
        }).join("") +
        `states = [...accumulators];\n${stores(kernel.stores)}`;
      return nest(
        code,
        kernel.space,
        `${perPoint}\nlet states = [${kernel.states.map(() => 0)}];\naccumulators = [];\nfor (let step = 0; step < ${time.extent}; step++) {\n${step}\n}`,
      );
    }
    case "scatter": {
      const { position, target, index, valid, update } = kernel;
      code.declare(position);
      const add = `stamp++;\nif (${code.expr(valid)}) { const at = ${code.index(index)}; store(${target}, at, round("${update.dtype}", load(${target}, at) + ${
        code.expr(update)
      })); }`;
      return nest(code, kernel.space, `${perPoint}\n${nest(code, [position], add)}`);
    }
  }
}

function nest(code: Code, vars: readonly Var[], body: string): string {
  return vars.toReversed().reduce((inner, variable) => {
    code.declare(variable);
    return `for (v${variable.id} = 0; v${variable.id} < ${variable.extent}; v${variable.id}++) {\n${inner}\n}`;
  }, body);
}

/** Each expression becomes a function that remembers its value until a variable changes, so that untaken branches are never evaluated. */
class Code {
  readonly #names = new Map<Expr, string>();
  readonly #vars = new Set<number>();
  readonly #lines: string[] = ["let accumulators = [];"];

  line(text: string): void {
    this.#lines.push(text);
  }

  declarations(): string {
    return this.#lines.join("\n");
  }

  declare(variable: Var): void {
    if (this.#vars.has(variable.id)) return;
    this.#vars.add(variable.id);
    this.line(`let v${variable.id} = 0;`);
  }

  index(index: Index): string {
    const terms = index.terms.map(({ atom, coefficient }) => {
      switch (atom.kind) {
        case "var":
          return `${coefficient} * v${atom.variable.id}`;
        case "div":
          return `${coefficient} * Math.floor((${this.index(atom.of)}) / ${atom.by})`;
        case "mod":
          return `${coefficient} * ((((${this.index(atom.of)}) % ${atom.by}) + ${atom.by}) % ${atom.by})`;
        case "value":
          return `${coefficient} * ${this.expr(atom.value)}`;
      }
    });
    return [...terms, String(index.constant)].join(" + ");
  }

  expr(expr: Expr): string {
    let name = this.#names.get(expr);
    if (!name) {
      name = `x${this.#names.size}`;
      this.#names.set(expr, name);
      if (expr.kind === "reduce") this.#reduction(name, expr);
      else {
        const value = this.#value(expr);
        const rounded = isFloat(expr.dtype) ? value : `round("${expr.dtype}", ${value})`;
        this.line(
          `let s${name} = -1, k${name} = 0;\nconst ${name} = () => { if (s${name} !== stamp) { k${name} = ${rounded}; s${name} = stamp; } return k${name}; };`,
        );
      }
    }
    return `${name}()`;
  }

  #value(expr: Expr): string {
    switch (expr.kind) {
      case "const":
        return Number.isFinite(expr.value) ? (Object.is(expr.value, -0) ? "-0" : `(${expr.value})`) : `(${expr.value})`;
      case "index":
        return this.index(expr.index);
      case "inRange":
        return `((i) => i >= ${expr.lo} && i < ${expr.hi} ? 1 : 0)(${this.index(expr.index)})`;
      case "load":
        return `load(${expr.operand}, ${this.index(expr.index)})`;
      case "unary":
        return unary(expr.op, this.expr(expr.x), expr.dtype);
      case "binary":
        return binary(expr.op, this.expr(expr.lhs), this.expr(expr.rhs), expr.lhs.dtype);
      case "select":
        return `(${this.expr(expr.cond)} ? ${this.expr(expr.then)} : ${this.expr(expr.otherwise)})`;
      case "cast":
        return expr.dtype === "bool" ? `(${this.expr(expr.x)} !== 0 ? 1 : 0)` : this.expr(expr.x);
      case "accumulator":
        return `accumulators[${expr.state}]`;
      case "reduce":
        throw new Error("a reduction has no value of its own");
    }
  }

  /** A loop over the row, once for each point of the space; the row's variable is put back afterwards. */
  #reduction(name: string, expr: Extract<Expr, { kind: "reduce" }>): void {
    const { combine, variable, body } = expr;
    this.declare(variable);
    const element = this.expr(body), row = `v${variable.id}`;
    const start = combine === "argmax" ? "-Infinity" : String(identityOf(combine, expr.dtype));
    const step = combine === "sum"
      ? `total = round("${expr.dtype}", total + ${element});`
      : combine === "argmax"
      ? `const y = ${element}; if (${row} === 0 || y > total) { total = y; best = ${row}; }`
      : `total = Math.${combine}(total, ${element});`;
    this.line(
      `let s${name} = -1, k${name} = 0;\nconst ${name} = () => { if (s${name} === point) return k${name}; const before = ${row}; let total = ${start}, best = 0;\n` +
        `for (${row} = 0; ${row} < ${variable.extent}; ${row}++) { stamp++; ${step} }\n` +
        `${row} = before; stamp++; s${name} = point; return k${name} = ${combine === "argmax" ? "best" : "total"}; };`,
    );
  }
}

function unary(op: string, x: string, dtype: DType): string {
  switch (op) {
    case "neg":
      return `-${x}`;
    case "rsqrt":
      return `1 / Math.sqrt(${x})`;
    case "sigmoid":
      return `1 / (1 + Math.exp(-${x}))`;
    case "erf":
      return `erf(${x})`;
    case "not":
      return dtype === "bool" ? `1 - ${x}` : `~${x}`;
    default:
      return `Math.${op}(${x})`;
  }
}

const OPERATORS: Readonly<Record<string, string>> = {
  add: "+",
  sub: "-",
  mod: "%",
  eq: "===",
  ne: "!==",
  lt: "<",
  le: "<=",
  gt: ">",
  ge: ">=",
  and: "&",
  or: "|",
  xor: "^",
  shiftLeft: "<<",
  shiftRight: ">>>",
};
const COMPARISONS = new Set(["eq", "ne", "lt", "le", "gt", "ge"]);

function binary(op: string, x: string, y: string, dtype: DType): string {
  if (COMPARISONS.has(op)) return `(${x} ${OPERATORS[op]} ${y} ? 1 : 0)`;
  if (op === "mul") return isFloat(dtype) ? `${x} * ${y}` : `Math.imul(${x}, ${y})`;
  if (op === "div") return isFloat(dtype) ? `${x} / ${y}` : `Math.trunc(${x} / ${y})`;
  if (op === "max" || op === "min" || op === "pow") return `Math.${op}(${x}, ${y})`;
  return `(${x} ${OPERATORS[op]} ${y})`;
}

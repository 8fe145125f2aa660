/**
 * The code of one function while it is written: nested blocks, values in locals, each placed in the outermost block
 * where its parts are known.
 *
 * Blocks are kept as lists until they close, so a value may still be put in front of an enclosing loop: loop-invariant
 * subexpressions hoist themselves. Equal operations on equal values are one local. The engine's register allocator
 * makes the locals free.
 */
import type { DType } from "../../../core/dtype.ts";
import { invariant } from "../../../core/errors.ts";
import type { Index, Var } from "../../../core/index_expr.ts";
import { makeVar, varIndex } from "../../../core/index_expr.ts";
import type { Instruction, WasmFunction, WasmType } from "./wasm_encoder.ts";

/** Whether one point is computed, or four. */
export type Width = 1 | 4;

/** What a function may use. */
export interface CpuTarget {
  /** Whether `f32x4.relaxed_madd` validates. */
  readonly relaxed: boolean;
  /** Threads that will run the module, which block sizes consider. Results do not depend on it. Default: 1. */
  readonly threads?: number;
}

/**
 * A value: a local or a literal. Scalars of bool are 0 or 1, vectors of bool are masks of all or no bits.
 */
export interface Value {
  /** Number of the local; undefined for literals. */
  readonly local: number | undefined;
  readonly literal: number;
  readonly dtype: DType;
  readonly width: Width;
  /** Number of the outermost block in which the value is known. */
  readonly depth: number;
}

/** What an operation gives. */
export interface ResultType {
  readonly dtype: DType;
  readonly width: Width;
}

interface Block {
  readonly code: Instruction[];
  readonly memo: Map<string, Value>;
  /** Values of expressions that become invalid with the block; see print_expr.ts. */
  readonly values: Map<string, Value>;
  readonly close: (parent: Instruction[], body: Instruction[]) => void;
}

/** The WebAssembly type of a value. */
export function wasmType({ dtype, width }: ResultType): WasmType {
  return width === 4 ? "v128" : dtype === "f32" || dtype === "f16" ? "f32" : "i32";
}

function keyOf({ local, literal, dtype }: Value): string {
  return local === undefined ? `${dtype}${Object.is(literal, -0) ? "-0" : literal}` : `$${local}`;
}

/** Writes one function. */
export class Writer {
  readonly #parameters: readonly string[];
  #locals: WasmType[] = [];
  #blocks: Block[] = [{ code: [], memo: new Map(), values: new Map(), close: () => {} }];
  #variables = new Map<number, Value>();

  constructor(parameters: readonly string[], readonly target: CpuTarget) {
    this.#parameters = parameters;
  }

  /** Number of the innermost open block. */
  get depth(): number {
    return this.#blocks.length - 1;
  }

  /** Values of expressions remembered at a depth. */
  memo(depth: number): Map<string, Value> {
    return this.#blocks[depth].values;
  }

  /** Adds instructions to a block. */
  emit(instructions: readonly Instruction[], depth = this.depth): void {
    const { code } = this.#blocks[depth];
    for (const instruction of instructions) code.push(instruction);
  }

  /** A parameter's value. */
  parameter(name: string): Value {
    const local = this.#parameters.indexOf(name);
    invariant(local >= 0, `a function has no parameter ${name}`);
    return { local, literal: 0, dtype: "i32", width: 1, depth: 0 };
  }

  /** A literal; one lane, whatever uses it. */
  literal(value: number, dtype: DType): Value {
    return { local: undefined, literal: dtype === "f32" ? Math.fround(value) : value | 0, dtype, width: 1, depth: 0 };
  }

  /** A local that may be assigned. Read it with {@link Writer.read}. */
  newLocal(type: WasmType): number {
    return this.#parameters.length + this.#locals.push(type) - 1;
  }

  /** Instructions that push a value. */
  push({ local, literal, dtype }: Value): Instruction {
    if (local !== undefined) return ["local.get", local];
    return dtype === "f32" || dtype === "f16" ? ["f32.const", literal] : ["i32.const", literal];
  }

  /** An operation without effects, done once where its operands are known. */
  op(name: string, args: readonly Value[], result: ResultType, immediates: readonly number[] = []): Value {
    const key = `${name} ${immediates.join()} ${args.map(keyOf).join()}`;
    const depth = args.reduce((max, arg) => Math.max(max, arg.depth), 0);
    for (let at = depth; at >= 0; at--) {
      const known = this.#blocks[at].memo.get(key);
      if (known) return known.dtype === result.dtype ? known : { ...known, dtype: result.dtype };
    }
    const value = this.#run(name, args, result, immediates, depth);
    this.#blocks[depth].memo.set(key, value);
    return value;
  }

  /** An operation whose operands or memory change: done here and now. */
  fresh(name: string, args: readonly Value[], result: ResultType, immediates: readonly number[] = []): Value {
    return this.#run(name, args, result, immediates, this.depth);
  }

  #run(
    name: string,
    args: readonly Value[],
    { dtype, width }: ResultType,
    immediates: readonly number[],
    depth: number,
  ): Value {
    const local = this.newLocal(wasmType({ dtype, width }));
    this.emit([...args.map((arg) => this.push(arg)), [name, ...immediates], ["local.set", local]], depth);
    return { local, literal: 0, dtype, width, depth };
  }

  /** An operation with effects and no result, such as a store. */
  effect(name: string, args: readonly Value[], immediates: readonly number[] = []): void {
    this.emit([...args.map((arg) => this.push(arg)), [name, ...immediates]]);
  }

  /** Assigns a local made by {@link Writer.newLocal}. */
  assign(local: number, value: Value): void {
    this.emit([this.push(value), ["local.set", local]]);
  }

  /** The present value of an assignable local, as a value that stays. */
  read(local: number, result: ResultType): Value {
    const copy = this.newLocal(wasmType(result));
    this.emit([["local.get", local], ["local.set", copy]]);
    return { local: copy, literal: 0, ...result, depth: this.depth };
  }

  /** The local as an operand of the next {@link Writer.fresh} operation. */
  now(local: number, result: ResultType): Value {
    return { local, literal: 0, ...result, depth: this.depth };
  }

  /**
   * Runs `body` for a counter from `start` up to, but not including, `end`, in steps.
   * @param extent The counter is known to be below it; lets index arithmetic simplify.
   */
  loop(
    { start, end, extent, step = 1 }: { start: Value; end: Value; extent: number; step?: number },
    body: (counter: Index) => void,
  ): void {
    if (extent <= 0) return;
    const counter = this.newLocal("i32");
    this.#blocks.push({
      code: [],
      memo: new Map(),
      values: new Map(),
      close: (parent, code) => {
        parent.push(this.push(start), ["local.tee", counter], this.push(end), ["i32.lt_s"], ["if"], ["loop"]);
        for (const instruction of code) parent.push(instruction);
        parent.push(["local.get", counter], ["i32.const", step], ["i32.add"], ["local.tee", counter], this.push(end), [
          "i32.lt_s",
        ], ["br_if", 0]);
        parent.push(["end"], ["end"]);
      },
    });
    // A variable of one value is the constant 0 to the index algebra, so it must be one that can take it.
    const variable = makeVar("i", Math.max(2, extent));
    this.#variables.set(variable.id, { local: counter, literal: 0, dtype: "i32", width: 1, depth: this.depth });
    body(varIndex(variable));
    this.#close();
  }

  /** Runs `body` for 0 .. turns - 1; without a loop where one turn does. */
  repeat(turns: number, body: (counter: Index) => void, zero: Index): void {
    if (turns === 1) return body(zero);
    this.loop({ start: this.literal(0, "i32"), end: this.literal(turns, "i32"), extent: turns }, body);
  }

  /**
   * Runs `body` for 0 .. turns - 1 in order, in blocks, and `flush` after each block, given the number of its first
   * turn.
   * @param block Turns of a block, fewer than all.
   */
  repeatInBlocks(
    turns: number,
    block: number,
    { body, flush }: { body: (counter: Index) => void; flush: (first: Value) => void },
  ): void {
    const whole = this.literal(turns, "i32");
    this.loop({ start: this.literal(0, "i32"), end: whole, extent: turns, step: block }, (first) => {
      const start = this.#counter(first),
        stop = this.op("i32.add", [start, this.literal(block, "i32")], { dtype: "i32", width: 1 });
      const isInside = this.op("i32.lt_s", [stop, whole], { dtype: "bool", width: 1 });
      const end = turns % block === 0 ? stop : this.op("select", [stop, whole, isInside], { dtype: "i32", width: 1 });
      this.loop({ start, end, extent: turns }, body);
      flush(start);
    });
  }

  /** The value of a loop's counter. */
  #counter(index: Index): Value {
    const [{ atom }] = index.terms;
    invariant(atom.kind === "var", "a counter is a variable");
    return this.variable(atom.variable);
  }

  /** Runs `body` where a condition holds. */
  when(condition: Value, body: () => void): void {
    this.#blocks.push({
      code: [],
      memo: new Map(),
      values: new Map(),
      close: (parent, code) => {
        parent.push(this.push(condition), ["if"]);
        for (const instruction of code) parent.push(instruction);
        parent.push(["end"]);
      },
    });
    body();
    this.#close();
  }

  /**
   * `usual`, unless a condition holds (in one of four lanes at least): then what `exception` makes of `from`. Both are
   * values without effects; the branch stands where they are known, like any operation.
   */
  unless(
    condition: Value,
    usual: readonly Value[],
    from: readonly Value[],
    exception: (from: readonly Value[]) => readonly Value[],
  ): Value[] {
    const depth = [condition, ...usual, ...from].reduce((max, value) => Math.max(max, value.depth), 0);
    const any = condition.width === 4 ? this.op("v128.any_true", [condition], { dtype: "bool", width: 1 }) : condition;
    const locals = usual.map((value) => this.newLocal(wasmType(value)));
    const inner = this.#blocks.splice(depth + 1);
    usual.forEach((value, at) => this.assign(locals[at], value));
    this.when(any, () => {
      // As if they were not known before, so that what is made of them is not computed before either.
      const results = exception(from.map((value) => ({ ...value, depth: this.depth })));
      results.forEach((value, at) => this.assign(locals[at], value));
    });
    this.#blocks.push(...inner);
    return usual.map(({ dtype, width }, at) => ({ local: locals[at], literal: 0, dtype, width, depth }));
  }

  #close(): void {
    const block = this.#blocks.pop();
    invariant(block && this.#blocks.length > 0, "a block was closed that was not open");
    block.close(this.#blocks[this.#blocks.length - 1].code, block.code);
  }

  /** Says what a variable's value is. */
  declare(variable: Var, value: Value): void {
    this.#variables.set(variable.id, value);
  }

  /** An index that is a value computed here, known to lie in 0 .. extent - 1. */
  indexOf(value: Value, extent: number): Index {
    const variable = makeVar("v", Math.max(2, extent));
    this.declare(variable, value);
    return varIndex(variable);
  }

  /** The value of a declared variable. */
  variable(variable: Var): Value {
    const known = this.#variables.get(variable.id);
    invariant(known, `a kernel reads variable ${variable.name}, which nothing defines`);
    return known;
  }

  /** The whole function. */
  finish(): WasmFunction {
    invariant(this.depth === 0, "a block was left open");
    return { parameters: this.#parameters, locals: this.#locals, code: this.#blocks[0].code };
  }
}

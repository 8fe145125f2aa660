/** Generates functions in a language: the implementation of {@link Writer} that all devices share. */
import { invariant } from "../../core/errors.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { makeVar, varIndex } from "../../core/index_expr.ts";
import type { Language, Operand, Operation, Value } from "./language.ts";
import { type ElementType, type OpName, resultOf, type ResultType } from "./operations.ts";
import type { Target } from "./target.ts";
import type { Local, LoopRange, Writer } from "./writer.ts";

/** The type of a local: a float, an integer, an address, or a vector of W lanes of floats or integers. */
export type LocalType = "f32" | "i32" | "address" | "lanes";

/** A parameter of a function. */
export interface Parameter {
  readonly name: string;
  readonly type: "i32" | "address";
}

/** A finished function. */
export interface WrittenFunction<Line> {
  readonly parameters: readonly Parameter[];
  /** Types of the locals, which are numbered after the parameters. */
  readonly locals: readonly LocalType[];
  readonly code: readonly Line[];
}

interface Block<Line> {
  readonly code: Line[];
  readonly memo: Map<string, Value>;
  /** Memoized values of expressions, which become invalid when the block ends; see evaluator.ts. */
  readonly values: Map<string, Value>;
  /** Appends the finished block to its parent. */
  close(parent: Line[], body: readonly Line[]): void;
}

function localTypeOf({ dtype, width }: ResultType): LocalType {
  if (dtype === "address") return "address";
  return width > 1 ? "lanes" : dtype === "f32" ? "f32" : "i32";
}

function keyOf({ local, literal, dtype }: Value): string {
  return local === undefined ? `${dtype}${Object.is(literal, -0) ? "-0" : literal}` : `$${local}`;
}

/** Writes one function in a language. */
export class FunctionWriter<Line> implements Writer {
  readonly #parameters: readonly Parameter[];
  readonly #language: Language<Line>;
  #locals: LocalType[] = [];
  #blocks: Block<Line>[] = [{ code: [], memo: new Map(), values: new Map(), close: () => {} }];
  #variables = new Map<number, Value>();

  constructor(parameters: readonly Parameter[], readonly target: Target, language: Language<Line>) {
    this.#parameters = parameters;
    this.#language = language;
  }

  /** Elements of a vector. */
  get lanes(): number {
    return this.target.lanes;
  }

  /** Number of the innermost open block. */
  get depth(): number {
    return this.#blocks.length - 1;
  }

  /** Memoized values of expressions at a depth. */
  memo(depth: number): Map<string, Value> {
    return this.#blocks[depth].values;
  }

  get #code(): Line[] {
    return this.#blocks[this.depth].code;
  }

  /** A parameter's value. */
  parameter(name: string): Value {
    const local = this.#parameters.findIndex((parameter) => parameter.name === name);
    invariant(local >= 0, `a function has no parameter ${name}`);
    return { local, literal: 0, dtype: this.#parameters[local].type, width: 1, depth: 0 };
  }

  /** A literal. It has one lane in every context. There are no literal addresses. */
  literal(value: number, dtype: ElementType): Value {
    invariant(dtype !== "address", "an address is not known when a kernel is printed");
    return { local: undefined, literal: dtype === "f32" ? Math.fround(value) : value | 0, dtype, width: 1, depth: 0 };
  }

  /** A pure operation, placed in the outermost block where its operands are available, and deduplicated. */
  op(name: OpName, args: readonly Value[], immediates: readonly number[] = []): Value {
    let key: string = name, depth = 0;
    for (let at = 0; at < immediates.length; at++) key += ` ${immediates[at]}`;
    for (let at = 0; at < args.length; at++) {
      key += `,${keyOf(args[at])}`;
      depth = Math.max(depth, args[at].depth);
    }
    const { dtype, width } = resultOf(name, args, this.lanes);
    for (let at = depth; at >= 0; at--) {
      const known = this.#blocks[at].memo.get(key);
      if (known) return known.dtype === dtype ? known : { ...known, dtype };
    }
    const value = this.#run({ op: name, args, immediates, dtype, width }, depth);
    this.#blocks[depth].memo.set(key, value);
    return value;
  }

  /** An operation whose operands or memory may change: placed here, never moved or deduplicated. */
  fresh(name: OpName, args: readonly Value[], immediates: readonly number[] = []): Value {
    return this.#run(this.operation(name, args, immediates), this.depth);
  }

  #run(operation: Operation, depth: number): Value {
    const { local, dtype, width } = this.newLocal(operation);
    this.#language.assign(this.#blocks[depth].code, local, operation);
    return { local, literal: 0, dtype, width, depth };
  }

  /** An operation with side effects and no result, such as a store. */
  effect(name: OpName, args: readonly Value[], immediates: readonly number[] = []): void {
    this.#language.effect(this.#code, this.operation(name, args, immediates));
  }

  /** An operation used inline in an assignment or condition, without a local of its own. */
  operation(op: OpName, args: readonly Operand[], immediates: readonly number[] = []): Operation {
    const { dtype, width } = resultOf(op, args, this.lanes);
    return { op, args, immediates, dtype, width };
  }

  /** Declares a mutable local. Read it with {@link Writer.read}. */
  newLocal({ dtype, width }: ResultType): Local {
    return { local: this.#parameters.length + this.#locals.push(localTypeOf({ dtype, width })) - 1, dtype, width };
  }

  /** Assigns a local made by {@link Writer.newLocal}. */
  assign({ local }: Local, value: Operand): void {
    this.#language.assign(this.#code, local, value);
  }

  /** The current value of a mutable local, as an immutable value. */
  read(from: Local): Value {
    const { local, dtype, width } = this.newLocal(from);
    this.#language.assign(this.#code, local, this.now(from));
    return { local, literal: 0, dtype, width, depth: this.depth };
  }

  /** The local itself as an operand. Valid only until the local is next assigned. */
  now({ local, dtype, width }: Local): Value {
    return { local, literal: 0, dtype, width, depth: this.depth };
  }

  /** Opens a block; `close` appends it to its parent. */
  #block(body: () => void, close: Block<Line>["close"]): void {
    this.#blocks.push({ code: [], memo: new Map(), values: new Map(), close });
    body();
    const block = this.#blocks.pop();
    invariant(block && this.#blocks.length > 0, "a block was closed that was not open");
    block.close(this.#code, block.code);
  }

  /**
   * Runs `body` for a counter from `start` (inclusive) to `end` (exclusive).
   * @param extent An upper bound of the counter, which lets index arithmetic simplify.
   */
  loop({ start, end, extent, step = 1 }: LoopRange, body: (counter: Index) => void): void {
    if (extent <= 0) return;
    const { local: counter } = this.newLocal({ dtype: "i32", width: 1 });
    // The index algebra folds a variable of extent 1 to the constant 0, so the counter must have a larger extent.
    const variable = makeVar("i", Math.max(2, extent));
    this.#block(() => {
      this.declare(variable, { local: counter, literal: 0, dtype: "i32", width: 1, depth: this.depth });
      body(varIndex(variable));
    }, (parent, code) => this.#language.loop(parent, { counter, start, end, step }, code));
  }

  /** Runs `body` a number of times, counting down in a local. This is the loop with the least overhead. */
  countdown({ local: left }: Local, turns: Operand, body: () => void): void {
    this.#block(body, (parent, code) => this.#language.countdown(parent, left, turns, code));
  }

  /** Runs `body` if a condition holds. */
  when(condition: Operand, body: () => void): void {
    this.#block(body, (parent, code) => this.#language.when(parent, condition, code));
  }

  /**
   * Selects `usual`, or the result of `exception(from)` if a condition holds in at least one lane. Both are pure; like
   * any operation, the branch is placed where its operands are available.
   */
  unless(
    condition: Value,
    usual: readonly Value[],
    from: readonly Value[],
    exception: (from: readonly Value[]) => readonly Value[],
  ): Value[] {
    const depth = [condition, ...usual, ...from].reduce((max, value) => Math.max(max, value.depth), 0);
    const any = condition.width > 1 ? this.op("any", [condition]) : condition;
    const locals = usual.map((value) => this.newLocal(value));
    const inner = this.#blocks.splice(depth + 1);
    usual.forEach((value, at) => this.assign(locals[at], value));
    this.when(any, () => {
      // Marked as available only from here on, so that nothing derived from them is hoisted out of the branch.
      const results = exception(from.map((value) => ({ ...value, depth: this.depth })));
      results.forEach((value, at) => this.assign(locals[at], value));
    });
    this.#blocks.push(...inner);
    return locals.map(({ local, dtype, width }) => ({ local, literal: 0, dtype, width, depth }));
  }

  /** Binds a variable to a value. */
  declare(variable: Var, value: Value): void {
    this.#variables.set(variable.id, value);
  }

  /** An index computed at run time, known to lie in 0 .. extent - 1. */
  indexOf(value: Value, extent: number): Index {
    const variable = makeVar("v", Math.max(2, extent));
    this.declare(variable, value);
    return varIndex(variable);
  }

  /** The value that a variable is bound to. */
  variable(variable: Var): Value {
    const known = this.#variables.get(variable.id);
    invariant(known, `a kernel reads variable ${variable.name}, which nothing defines`);
    return known;
  }

  /** The finished function. */
  finish(): WrittenFunction<Line> {
    invariant(this.depth === 0, "a block was left open");
    return { parameters: this.#parameters, locals: this.#locals, code: this.#blocks[0].code };
  }
}

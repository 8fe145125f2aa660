/** Writes functions in a language: the {@link Writer} that all devices share. */
import type { DType } from "../../core/dtype.ts";
import { invariant } from "../../core/errors.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import { makeVar, varIndex } from "../../core/index_expr.ts";
import type { Language, Operand, Operation, Value } from "./language.ts";
import { type OpName, resultOf, type ResultType } from "./operations.ts";
import type { Target } from "./target.ts";
import type { Local, LoopRange, Writer } from "./writer.ts";

/** How a local is declared: a float, an integer, or W lanes of either. */
export type LocalType = "f32" | "i32" | "lanes";

/** A function that was written. All parameters are integers. */
export interface WrittenFunction<Line> {
  readonly parameters: readonly string[];
  /** Types of the locals, which are numbered after the parameters. */
  readonly locals: readonly LocalType[];
  readonly code: readonly Line[];
}

interface Block<Line> {
  readonly code: Line[];
  readonly memo: Map<string, Value>;
  /** Values of expressions that become invalid with the block; see evaluator.ts. */
  readonly values: Map<string, Value>;
  /** Puts the block in the one around it. */
  close(parent: Line[], body: readonly Line[]): void;
}

function localTypeOf({ dtype, width }: ResultType): LocalType {
  return width > 1 ? "lanes" : dtype === "f32" ? "f32" : "i32";
}

function keyOf({ local, literal, dtype }: Value): string {
  return local === undefined ? `${dtype}${Object.is(literal, -0) ? "-0" : literal}` : `$${local}`;
}

/** Writes one function in a language. */
export class FunctionWriter<Line> implements Writer {
  readonly #parameters: readonly string[];
  readonly #language: Language<Line>;
  #locals: LocalType[] = [];
  #blocks: Block<Line>[] = [{ code: [], memo: new Map(), values: new Map(), close: () => {} }];
  #variables = new Map<number, Value>();

  constructor(parameters: readonly string[], readonly target: Target, language: Language<Line>) {
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

  /** Values of expressions remembered at a depth. */
  memo(depth: number): Map<string, Value> {
    return this.#blocks[depth].values;
  }

  get #code(): Line[] {
    return this.#blocks[this.depth].code;
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

  /** An operation without effects, done once where its operands are known. */
  op(name: OpName, args: readonly Value[], immediates: readonly number[] = []): Value {
    const key = `${name} ${immediates.join()} ${args.map(keyOf).join()}`;
    const depth = args.reduce((max, arg) => Math.max(max, arg.depth), 0);
    const { dtype, width } = resultOf(name, args, this.lanes);
    for (let at = depth; at >= 0; at--) {
      const known = this.#blocks[at].memo.get(key);
      if (known) return known.dtype === dtype ? known : { ...known, dtype };
    }
    const value = this.#run({ op: name, args, immediates, dtype, width }, depth);
    this.#blocks[depth].memo.set(key, value);
    return value;
  }

  /** An operation whose operands or memory change: done here and now. */
  fresh(name: OpName, args: readonly Value[], immediates: readonly number[] = []): Value {
    return this.#run(this.operation(name, args, immediates), this.depth);
  }

  #run(operation: Operation, depth: number): Value {
    const { local, dtype, width } = this.newLocal(operation);
    this.#language.assign(this.#blocks[depth].code, local, operation);
    return { local, literal: 0, dtype, width, depth };
  }

  /** An operation with effects and no result, such as a store. */
  effect(name: OpName, args: readonly Value[], immediates: readonly number[] = []): void {
    this.#language.effect(this.#code, this.operation(name, args, immediates));
  }

  /** An operation as a part of what is assigned, or of a condition: it gets no local of its own. */
  operation(op: OpName, args: readonly Operand[], immediates: readonly number[] = []): Operation {
    const { dtype, width } = resultOf(op, args, this.lanes);
    return { op, args, immediates, dtype, width };
  }

  /** A local that may be assigned. Read it with {@link Writer.read}. */
  newLocal({ dtype, width }: ResultType): Local {
    return { local: this.#parameters.length + this.#locals.push(localTypeOf({ dtype, width })) - 1, dtype, width };
  }

  /** Assigns a local made by {@link Writer.newLocal}. */
  assign({ local }: Local, value: Operand): void {
    this.#language.assign(this.#code, local, value);
  }

  /** The present value of an assignable local, as a value that stays. */
  read(from: Local): Value {
    const { local, dtype, width } = this.newLocal(from);
    this.#language.assign(this.#code, local, this.now(from));
    return { local, literal: 0, dtype, width, depth: this.depth };
  }

  /** The local itself as an operand: of what is computed next, before it changes. */
  now({ local, dtype, width }: Local): Value {
    return { local, literal: 0, dtype, width, depth: this.depth };
  }

  /** Writes a block, which `close` puts in the block around it. */
  #block(body: () => void, close: Block<Line>["close"]): void {
    this.#blocks.push({ code: [], memo: new Map(), values: new Map(), close });
    body();
    const block = this.#blocks.pop();
    invariant(block && this.#blocks.length > 0, "a block was closed that was not open");
    block.close(this.#code, block.code);
  }

  /**
   * Runs `body` for a counter from `start` up to, but not including, `end`, in steps.
   * @param extent The counter is known to be below it; lets index arithmetic simplify.
   */
  loop({ start, end, extent, step = 1 }: LoopRange, body: (counter: Index) => void): void {
    if (extent <= 0) return;
    const { local: counter } = this.newLocal({ dtype: "i32", width: 1 });
    // A variable of one value is the constant 0 to the index algebra, so it must be one that can take it.
    const variable = makeVar("i", Math.max(2, extent));
    this.#block(() => {
      this.declare(variable, { local: counter, literal: 0, dtype: "i32", width: 1, depth: this.depth });
      body(varIndex(variable));
    }, (parent, code) => this.#language.loop(parent, { counter, start, end, step }, code));
  }

  /** Runs `body` some number of times, counted down in a local: the tightest loop there is. */
  countdown({ local: left }: Local, turns: Operand, body: () => void): void {
    this.#block(body, (parent, code) => this.#language.countdown(parent, left, turns, code));
  }

  /** Runs `body` where a condition holds. */
  when(condition: Operand, body: () => void): void {
    this.#block(body, (parent, code) => this.#language.when(parent, condition, code));
  }

  /**
   * `usual`, unless a condition holds (in one lane at least): then what `exception` makes of `from`. Both are values
   * without effects; the branch stands where they are known, like any operation.
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
      // As if they were not known before, so that what is made of them is not computed before either.
      const results = exception(from.map((value) => ({ ...value, depth: this.depth })));
      results.forEach((value, at) => this.assign(locals[at], value));
    });
    this.#blocks.push(...inner);
    return locals.map(({ local, dtype, width }) => ({ local, literal: 0, dtype, width, depth }));
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
  finish(): WrittenFunction<Line> {
    invariant(this.depth === 0, "a block was left open");
    return { parameters: this.#parameters, locals: this.#locals, code: this.#blocks[0].code };
  }
}

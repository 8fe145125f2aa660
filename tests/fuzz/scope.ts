/**
 * Where a program grows: the values that can be seen, the steps so far, and what is roughly known of each value's
 * range, so that numbers neither explode nor vanish and functions meet arguments that they are defined for.
 */
import { type DType, isFloat } from "../../core/dtype.ts";
import { sizeOfShape } from "../../core/shape.ts";
import type { Block, Fill, FuzzAttrs, FuzzType, Id, Input, Step, Value } from "./program.ts";
import type { Random } from "./random.ts";

/** Between which numbers the elements of a value are thought to lie. A guess that steers; nothing relies on it. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

/** What all scopes of one program share. */
export interface Growth {
  readonly random: Random;
  /** Extents that the program likes, so that shapes fit each other. */
  readonly palette: readonly number[];
  /** How often a step takes what the step before it gave, if it can: chains of views, of sums. */
  readonly chain: number;
  /** Most elements of a value. */
  readonly maxElements: number;
  /** The dtype of most floats. */
  readonly float: DType;
  /** Whether NaN, infinities and arguments outside of domains are wanted. */
  readonly edges: boolean;
  readonly inputs: Input[];
  readonly ranges: Map<Id, Range>;
  nextId: number;
  /** Steps that may still be added. */
  budget: number;
  /** Adds steps to a body. */
  readonly grow: (scope: Scope, steps: number) => void;
}

const UNKNOWN: Range = { low: -1e4, high: 1e4 };

/** A function's body being written: the program's, a loop's, or that of something to be differentiated. */
export class Scope {
  readonly steps: Step[] = [];
  readonly #own: Value[] = [];

  constructor(readonly growth: Growth, readonly parent?: Scope) {}

  get random(): Random {
    return this.growth.random;
  }

  /** How many functions this one is inside of. */
  get depth(): number {
    return this.parent ? this.parent.depth + 1 : 0;
  }

  /** The values of this body, newest last. */
  get own(): readonly Value[] {
    return this.#own;
  }

  /** Whether a value is this body's and not from outside. */
  owns(value: Value): boolean {
    return this.#own.includes(value);
  }

  /** All values that can be used here. */
  visible(): Value[] {
    return [...(this.parent ? this.parent.visible() : this.growth.inputs), ...this.#own];
  }

  /** A new value of this body that no step makes: a parameter. */
  parameter(type: FuzzType, range: Range): Value {
    const value = { id: this.growth.nextId++, shape: type.shape, dtype: type.dtype };
    this.growth.ranges.set(value.id, range);
    this.#own.push(value);
    return value;
  }

  /** A new argument of the program. */
  input(type: FuzzType, fill: Fill): Input {
    const { growth } = this;
    const input: Input = { id: growth.nextId++, shape: type.shape, dtype: type.dtype, fill };
    growth.inputs.push(input);
    const range = fill.kind === "list" ? UNKNOWN : { low: fill.low, high: fill.high };
    growth.ranges.set(input.id, fill.kind === "edges" ? { low: -Infinity, high: Infinity } : range);
    return input;
  }

  /** A new argument of a type with ordinary values. */
  anyInput(type: FuzzType): Input {
    const { random, growth } = this, seed = random.seed();
    if (!isFloat(type.dtype)) {
      return this.input(type, {
        kind: "integers",
        low: type.dtype === "i32" ? -3 : 0,
        high: type.dtype === "bool" ? 1 : 7,
        seed,
      });
    }
    if (growth.edges && random.chance(0.4)) return this.input(type, { kind: "edges", low: -2, high: 2, seed });
    if (random.chance(0.15)) return this.input(type, { kind: "integers", low: -2, high: 3, seed });
    return this.input(type, { kind: "uniform", low: random.of([-2, -2, -1, 0.25]), high: 2, seed });
  }

  /** A step with one result. */
  define(op: string, args: readonly Value[], attrs: FuzzAttrs, type: FuzzType, range: Range = UNKNOWN): Value {
    return this.defineAll(op, args, attrs, { types: [type], ranges: [range] })[0];
  }

  /** A step with any number of results, and perhaps a body. */
  defineAll(
    op: string,
    args: readonly Value[],
    attrs: FuzzAttrs,
    { types, ranges = [], block }: {
      readonly types: readonly FuzzType[];
      readonly ranges?: readonly Range[];
      readonly block?: Block;
    },
  ): Value[] {
    const out = types.map((type, i) => this.parameter(type, ranges[i] ?? UNKNOWN));
    this.growth.budget--;
    this.steps.push({ op, args: args.map(({ id }) => id), attrs, out, ...(block && { block }) });
    return out;
  }

  /** What is known of a value's range. */
  range({ id }: Value): Range {
    return this.growth.ranges.get(id) ?? UNKNOWN;
  }

  /** A value that passes a test, newer and own ones more often; undefined if there is none. */
  choose(test: (value: Value) => boolean): Value | undefined {
    const last = this.#own.at(-1);
    if (last && test(last) && this.random.chance(this.growth.chain)) return last;
    const own = this.#own.filter(test);
    const recent = own.slice(-4);
    if (recent.length > 0 && this.random.chance(0.6)) return this.random.of(recent);
    const all = this.visible().filter(test);
    return all.length > 0 ? this.random.of(all) : undefined;
  }

  /** A float; an argument is added if there is none. */
  float(test: (value: Value) => boolean = () => true): Value {
    return this.choose((value) => isFloat(value.dtype) && test(value)) ??
      this.anyInput({ shape: this.shape(), dtype: this.growth.float });
  }

  /** A number of any dtype but bool. */
  number(test: (value: Value) => boolean = () => true): Value {
    return this.choose((value) => value.dtype !== "bool" && test(value)) ?? this.float();
  }

  /** A bool; made by a comparison if there is none. */
  bool(like?: FuzzType): Value {
    const fits = (value: Value) =>
      value.dtype === "bool" && (!like || broadcasts(value.shape, like.shape) !== undefined);
    const present = this.random.chance(0.6) ? this.choose(fits) : undefined;
    if (present) return present;
    const shape = like ? like.shape : this.shape();
    if (shape.length > 0 && this.random.chance(0.3)) return this.#mask(shape);
    if (this.random.chance(0.5)) return this.anyInput({ shape, dtype: "bool" });
    const x =
      this.choose((value) => value.dtype !== "bool" && (!like || broadcasts(value.shape, shape) !== undefined)) ??
        this.anyInput({ shape, dtype: this.growth.float });
    const number = isFloat(x.dtype) ? this.random.number(-1, 1) : this.random.integer(0, 3);
    return this.define(this.random.of(["less", "greater", "lessEqual", "greaterEqual"]), [x], { number }, {
      shape: x.shape,
      dtype: "bool",
    }, {
      low: 0,
      high: 1,
    });
  }

  /** A comparison of two counters: what masks of attention are made of. */
  #mask(shape: readonly number[]): Value {
    const axes = [this.random.integer(0, shape.length - 1), this.random.integer(0, shape.length - 1)];
    const [left, right] = axes.map((axis) =>
      this.define("iota", [], { shape, axis, dtype: "i32" }, { shape, dtype: "i32" }, {
        low: 0,
        high: Math.max(0, shape[axis] - 1),
      })
    );
    const shift = this.random.integer(-2, 2);
    const moved = shift === 0 ? right : this.define("add", [right], { number: shift }, { shape, dtype: "i32" }, {
      low: Math.min(0, shift),
      high: this.range(right).high + 2,
    });
    return this.define(this.random.of(["lessEqual", "less", "greaterEqual", "greater", "equal"]), [left, moved], {}, {
      shape,
      dtype: "bool",
    }, {
      low: 0,
      high: 1,
    });
  }

  /** A random shape of at most `maxElements` elements. */
  shape(rank = this.random.weighted([[1, 0], [3, 1], [5, 2], [4, 3], [2, 4], [1, 5]])): number[] {
    const shape: number[] = [];
    for (let axis = 0; axis < rank; axis++) {
      shape.push(this.extent(Math.max(1, Math.floor(this.growth.maxElements / Math.max(1, sizeOfShape(shape))))));
    }
    return shape;
  }

  /** A random extent up to a limit. */
  extent(limit = Infinity): number {
    const fitting = this.growth.palette.filter((extent) => extent <= limit);
    return fitting.length > 0 ? this.random.of(fitting) : 1;
  }

  /** Whether a shape is small enough to be computed. */
  fits(shape: readonly number[]): boolean {
    return shape.length <= 5 && sizeOfShape(shape) <= this.growth.maxElements;
  }

  /**
   * Another operand for an elementwise op: of the same dtype, and broadcasting with `value` to something not too large.
   */
  partner(value: Value, test: (other: Value) => boolean = () => true): Value {
    const fits = (other: Value) => {
      const shape = broadcasts(value.shape, other.shape);
      return other.dtype === value.dtype && shape !== undefined && this.fits(shape) && test(other);
    };
    const present = this.choose(fits);
    if (present && this.random.chance(0.85)) return present;
    // A new one, of the same shape or one that broadcasts.
    const shape = this.random.chance(0.6)
      ? value.shape
      : value.shape.slice(this.random.integer(0, value.shape.length)).map((
        extent,
      ) => (this.random.chance(0.3) ? 1 : extent));
    return this.anyInput({ shape, dtype: value.dtype });
  }

  /** A float like `value` whose elements are at most about `limit` in size: itself, or squashed. */
  bounded(value: Value, limit: number): Value {
    const { low, high } = this.range(value);
    if (low >= -limit && high <= limit) return value;
    if (!isFloat(value.dtype)) return value;
    const size = Math.max(-low, high);
    if (size < 100 && this.random.chance(0.5)) {
      const number = Number((limit / size).toPrecision(2));
      return this.define("mul", [value], { number }, value, { low: low * number, high: high * number });
    }
    const [op, range] = this.random.of(
      [["tanh", { low: -1, high: 1 }], ["sin", { low: -1, high: 1 }], ["sigmoid", { low: 0, high: 1 }]] as const,
    );
    const arg = op === "sin" && size > 1e3 ? this.define("tanh", [value], {}, value, { low: -1, high: 1 }) : value;
    return this.define(op, [arg], {}, value, range);
  }

  /** A float like `value` that is well above 0: itself or something of it. */
  positive(value: Value): Value {
    if (this.range(value).low >= 0.1) return value;
    const small = this.bounded(value, 8);
    const { low, high } = this.range(small), size = Math.max(-low, high);
    if (this.random.chance(0.5)) {
      const square = this.define("square", [small], {}, value, { low: 0, high: size * size });
      return this.define("add", [square], { number: 0.5 }, value, { low: 0.5, high: size * size + 0.5 });
    }
    const positive = this.define("abs", [small], {}, value, { low: 0, high: size });
    return this.define("add", [positive], { number: 0.25 }, value, { low: 0.25, high: size + 0.25 });
  }

  /** Whole numbers to number the slices of an axis by, of a shape: now and then outside of it. */
  indices(extent: number, shape: readonly number[]): Value {
    const dtype = this.random.of(["i32", "i32", "u32"] as const);
    const low = dtype === "i32" && this.random.chance(0.4) ? -1 : 0,
      high = Math.max(0, extent - 1) + (this.random.chance(0.4) ? 1 : 0);
    return this.input({ shape, dtype }, { kind: "integers", low, high, seed: this.random.seed() });
  }

  /** A key for random numbers. */
  key(): Value {
    const present = this.choose(({ dtype, shape }) => dtype === "u32" && shape.length === 1 && shape[0] === 2);
    return present ??
      this.input({ shape: [2], dtype: "u32" }, {
        kind: "integers",
        low: 0,
        high: 4294967295,
        seed: this.random.seed(),
      });
  }
}

/** The shape that two broadcast to; undefined if they do not. */
export function broadcasts(lhs: readonly number[], rhs: readonly number[]): readonly number[] | undefined {
  const rank = Math.max(lhs.length, rhs.length), shape = new Array<number>(rank);
  for (let i = 1; i <= rank; i++) {
    const left = lhs[lhs.length - i] ?? 1, right = rhs[rhs.length - i] ?? 1;
    if (left !== right && left !== 1 && right !== 1) return undefined;
    shape[rank - i] = left === 1 ? right : left;
  }
  return shape;
}

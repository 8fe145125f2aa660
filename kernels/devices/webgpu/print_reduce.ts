/**
 * Accumulators of reductions: partial results in variables, combined over lanes and then, through workgroup memory,
 * over invocations.
 */
import { isFloat } from "../../../core/dtype.ts";
import type { Combine, Expr } from "../../../core/expr.ts";
import { identityOf } from "../../../core/expr.ts";
import { convert, LANES, splat } from "./print_value.ts";
import type { Evaluator } from "./print_expr.ts";
import { type RegisterType, registerType, typeName } from "./print_literal.ts";
import { binaryText, INFINITY_BITS, magnitudeText } from "./print_math.ts";
import type { Value, Writer } from "./print_writer.ts";

/**
 * The accumulator of a reduction. Argmax also tracks the index of the best value. Extremes of floats also track the
 * largest magnitude's bits: those of a NaN exceed those of infinity, and implementations of WGSL may assume floats, but
 * not integers, to be free of NaN.
 */
export interface Accumulator {
  readonly expr: Expr & { kind: "reduce" };
  readonly combine: Combine;
  readonly dtype: RegisterType;
  readonly width: 1 | 4;
  /** Name of the variable that holds partial results. */
  readonly name: string;
  /** Name of the variable that holds the indices of an argmax. */
  readonly place?: string;
  /** Name of the variable that holds the largest magnitude's bits, for a maximum or minimum of floats. */
  readonly size?: string;
}

/** A partial result, with the index of an argmax. */
export interface Partial {
  readonly value: Value;
  readonly place?: Value;
}

/** Declares an accumulator with the identity of its reduction. An extreme propagates NaN only with `seeksNaN`. */
export function declareAccumulator(
  writer: Writer,
  evaluator: Evaluator,
  { expr, width, seeksNaN }: Pick<Accumulator, "expr" | "width"> & { readonly seeksNaN: boolean },
): Accumulator {
  const { combine, body } = expr, dtype = registerType(body.dtype);
  const name = writer.fresh(combine === "sum" ? "sum" : "best");
  writer.line(`var ${name} = ${splat(identity(evaluator, combine, dtype), width).text};`);
  if (combine !== "argmax") {
    if (combine === "sum" || !isFloat(dtype) || !seeksNaN) return { expr, combine, dtype, width, name };
    const size = writer.fresh("size");
    writer.line(`var ${size} = ${typeName("u32", width)}(0u);`);
    return { expr, combine, dtype, width, name, size };
  }
  const place = writer.fresh("place");
  writer.line(`var ${place} = ${typeName("i32", width)}(0);`);
  return { expr, combine, dtype, width, name, place };
}

function identity(evaluator: Evaluator, combine: Combine, dtype: RegisterType): Value {
  // For truth values, sums and maxima are or; products and minima are and.
  if (dtype === "bool") return evaluator.constant(combine === "min" ? 1 : 0, "bool");
  return evaluator.constant(identityOf(combine, dtype), dtype);
}

/**
 * Folds values, one per unrolled step, into an accumulator. Values for which `live` is false are ignored. Sums are
 * added in pairs first.
 */
export function accumulate(
  writer: Writer,
  evaluator: Evaluator,
  into: Accumulator,
  steps: readonly (Partial & { live?: Value })[],
): void {
  const { name, width, dtype, combine } = into;
  if (combine === "argmax") return steps.forEach((step) => accumulatePlace(writer, into, step));
  let parts = steps.map(({ value, live }) => {
    const whole = splat(convert(value, dtype), width);
    return live
      ? `select(${splat(identity(evaluator, combine, dtype), width).text}, ${whole.text}, ${splat(live, width).text})`
      : whole.text;
  });
  if (into.size !== undefined) {
    parts = parts.map((part) => (/^\w+$/.test(part) ? part : writer.bind(part, writer.depth)));
    for (const text of parts) {
      writer.line(`${into.size} = max(${into.size}, ${magnitudeText({ text, dtype, width })});`);
    }
  }
  while (parts.length > 1) {
    parts = Array.from(
      { length: Math.ceil(parts.length / 2) },
      (_, at) => joined(into, parts.slice(2 * at, 2 * at + 2)),
    );
  }
  writer.line(`${name} = ${joined(into, [name, parts[0]])};`);
}

/** Combines two partial results as text; extremes of floats without regard to NaN. */
function joined({ combine, dtype, width }: Accumulator, parts: readonly string[]): string {
  if (parts.length === 1) return parts[0];
  if (combine !== "sum" && isFloat(dtype)) return `${combine}(${parts.join(", ")})`;
  const op = combine === "sum" ? "add" : combine === "min" ? "min" : "max";
  return binaryText(op, { text: parts[0], dtype, width }, { text: parts[1], dtype, width }, () => "");
}

function accumulatePlace(writer: Writer, { name, place, width }: Accumulator, step: Partial & { live?: Value }): void {
  const value = writer.bound(splat(step.value, width));
  const better = beats({ ...value, width }, { ...value, width, text: name });
  const condition = writer.fresh("better");
  writer.line(`let ${condition} = ${step.live ? `(${better}) & ${splat(step.live, width).text}` : better};`);
  writer.line(`${name} = select(${name}, ${value.text}, ${condition});`);
  writer.line(`${place} = select(${place}, ${splat(step.place!, width).text}, ${condition});`);
}

/** Text for whether a value precedes another in an argmax by value alone: it is greater, or it alone is NaN. */
function beats(value: Value, best: Value): string {
  const greater = `(${value.text} > ${best.text})`;
  if (!isFloat(value.dtype)) return greater;
  const limit = `${typeName("u32", value.width)}(${INFINITY_BITS})`;
  return `((${greater} | (${magnitudeText(value)} > ${limit})) & (${magnitudeText(best)} <= ${limit}))`;
}

/** Text for whether two values are equal, or both NaN. */
function ties(lhs: Value, rhs: Value): string {
  const equal = `(${lhs.text} == ${rhs.text})`;
  if (!isFloat(lhs.dtype)) return equal;
  const limit = `${typeName("u32", lhs.width)}(${INFINITY_BITS})`;
  return `(${equal} | (min(${magnitudeText(lhs)}, ${magnitudeText(rhs)}) > ${limit}))`;
}

/** The partial result of an accumulator after its loop. */
export function partialOf(writer: Writer, { name, place, size, dtype, width }: Accumulator): Partial {
  if (size !== undefined) {
    const found = writer.fresh("found"), bits = `bitcast<${typeName("f32", width)}>(${size})`;
    writer.line(`let ${found} = select(${name}, ${bits}, ${size} > ${typeName("u32", width)}(${INFINITY_BITS}));`);
    return { value: { text: found, dtype, width, depth: writer.depth, atomic: true } };
  }
  const read = (text: string, type: RegisterType): Value => ({
    text,
    dtype: type,
    width,
    depth: writer.depth,
    atomic: true,
  });
  return { value: read(name, dtype), place: place === undefined ? undefined : read(place, "i32") };
}

/** Combines the four lanes of a partial result. */
export function joinAcrossLanes(writer: Writer, accumulator: Accumulator, partial: Partial): Partial {
  const lane = (value: Value, at: number): Value => ({ ...value, text: `${value.text}.${LANES[at]}`, width: 1 });
  const lanes = [0, 1, 2, 3].map((at): Partial => ({
    value: lane(partial.value, at),
    place: partial.place && lane(partial.place, at),
  }));
  const scalar = { ...accumulator, width: 1 as const };
  const pairs = [joinPartials(writer, scalar, lanes[0], lanes[1]), joinPartials(writer, scalar, lanes[2], lanes[3])];
  return joinPartials(writer, scalar, pairs[0], pairs[1]);
}

/** Combines two partial results. Among equal maxima, the first index wins. */
export function joinPartials(writer: Writer, accumulator: Accumulator, lhs: Partial, rhs: Partial): Partial {
  const bind = (text: string, value: Value): Value => {
    const name = writer.fresh("part");
    writer.line(`let ${name} = ${text};`);
    return { ...value, text: name, depth: writer.depth, atomic: true };
  };
  const { combine } = accumulator;
  if (combine !== "argmax") {
    const text = combine === "sum"
      ? joined(accumulator, [lhs.value.text, rhs.value.text])
      : binaryText(combine, lhs.value, rhs.value, (helper, width) => writer.helper(helper, width));
    return { value: bind(text, lhs.value) };
  }
  const [a, b, i, j] = [lhs.value.text, rhs.value.text, lhs.place!.text, rhs.place!.text];
  const better = bind(`${beats(rhs.value, lhs.value)} | (${ties(rhs.value, lhs.value)} & (${j} < ${i}))`, {
    ...lhs.value,
    dtype: "bool",
  });
  return {
    value: bind(`select(${a}, ${b}, ${better.text})`, lhs.value),
    place: bind(`select(${i}, ${j}, ${better.text})`, lhs.place!),
  };
}

/** The position of an invocation among those that share a row, in workgroup memory. */
export interface Team {
  /** Invocations per row; a power of two. */
  readonly size: number;
  /** Distance between adjacent members of a team in workgroup memory. */
  readonly stride: number;
  /**
   * i32 text: the position of the invocation in workgroup memory, that of its team's first member, and its index in the
   * team.
   */
  readonly self: string;
  readonly first: string;
  readonly member: string;
  readonly workgroupSize: number;
}

/** Combines partial results over the invocations of each team in a tree. Control flow must be uniform. */
export function joinAcrossTeam(
  writer: Writer,
  accumulators: readonly Accumulator[],
  partials: readonly Partial[],
  team: Team,
): Partial[] {
  const slots = accumulators.map((accumulator, at) => {
    const width = partials[at].value.width;
    const array = (prefix: string, dtype: RegisterType) =>
      workgroupArray(writer, `${prefix}${at}_${dtype}_${width}`, typeName(dtype, width), team.workgroupSize);
    return { value: array("shared", accumulator.dtype), place: accumulator.place && array("places", "i32") };
  });
  const read = (at: number, index: string): Partial => {
    const { value, place } = partials[at];
    const part = (name: string, like: Value): Value => ({
      ...like,
      text: `${name}[${index}]`,
      depth: writer.depth,
      atomic: true,
    });
    return { value: part(slots[at].value, value), place: place && part(slots[at].place!, place) };
  };
  const write = (at: number, { value, place }: Partial) => {
    writer.line(`${slots[at].value}[${team.self}] = ${value.text};`);
    if (place) writer.line(`${slots[at].place}[${team.self}] = ${place.text};`);
  };
  // All reads of an earlier pass's results must have finished.
  writer.line("workgroupBarrier();");
  partials.forEach((partial, at) => write(at, partial));
  writer.open(`for (var reach = ${team.size / 2}; reach > 0; reach = reach / 2)`);
  writer.line("workgroupBarrier();");
  writer.open(`if (${team.member} < reach)`);
  accumulators.forEach((accumulator, at) => {
    const narrow = { ...accumulator, width: partials[at].value.width };
    write(at, joinPartials(writer, narrow, read(at, team.self), read(at, `${team.self} + reach * ${team.stride}`)));
  });
  writer.close();
  writer.close();
  writer.line("workgroupBarrier();");
  return partials.map((partial, at) => {
    const found = read(at, team.first);
    // Not a shared binding: the next pass prints the same text but reads other contents.
    const bind = (value: Value): Value => {
      const name = writer.fresh("total");
      writer.line(`let ${name} = ${value.text};`);
      return { ...value, text: name };
    };
    return { value: bind(found.value), place: partial.place && bind(found.place!) };
  });
}

function workgroupArray(writer: Writer, name: string, type: string, size: number): string {
  writer.module(`var<workgroup> ${name}: array<${type}, ${size}>;`);
  return name;
}

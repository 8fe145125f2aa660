/** Bounds of elementwise ops: from the bounds of the operands' elements to that of the result's. */
import { isFloat } from "../../../core/dtype.ts";
import type { NdArray } from "../../../core/op.ts";
import { type Bounded, radiusOf, rounding } from "./bounded.ts";
import type { Precision } from "./precision.ts";

/** Makes the radii of an op's result; undefined if it is exact. */
export type Rule = (inputs: readonly Bounded[], out: NdArray, precision: Precision) => Float64Array | undefined;

const isExact = (inputs: readonly Bounded[]): boolean => inputs.every(({ radius }) => !radius);

/** The op is exact on exact operands; otherwise each element's radius is that of the function. */
function movable(each: (args: readonly number[], radii: readonly number[], value: number) => number): Rule {
  return (inputs, out) => {
    if (isExact(inputs)) return undefined;
    const radii = inputs.map(radiusOf);
    return out.data.map((value, i) => each(inputs.map(({ data }) => data[i]), radii.map((radius) => radius[i]), value));
  };
}

/** Integers and bools: undecided where an operand is. */
const tainted: Rule = movable((_args, radii) => (radii.some((r) => r > 0) ? Infinity : 0));

/**
 * A sum, difference, product or quotient. `spread` is how far the operands' errors move it; `special` decides about
 * results that are not finite.
 */
function arithmetic(
  name: string,
  spread: (x: number, rx: number, y: number, ry: number, value: number) => number,
  special: (x: number, rx: number, y: number, ry: number) => boolean,
): Rule {
  return (inputs, out, precision) => {
    if (!isFloat(out.dtype)) return tainted(inputs, out, precision);
    const [x, y] = inputs, rx = x.radius, ry = y.radius;
    return out.data.map((value, i) => {
      const a = x.data[i], b = y.data[i], ra = rx ? rx[i] : 0, rb = ry ? ry[i] : 0;
      if (ra === 0 && a !== a) return 0;
      if (rb === 0 && b !== b) return 0;
      if (ra === Infinity || rb === Infinity) return Infinity;
      if (!Number.isFinite(value) || !Number.isFinite(a) || !Number.isFinite(b)) {
        return special(a, ra, b, rb) ? 0 : Infinity;
      }
      if (ra === 0 && rb === 0 && name !== "div" && precision.holds(out.dtype, value)) return 0;
      // Zero times anything finite is zero, and zero over anything.
      if (value === 0 && ((a === 0 && ra === 0) || (b === 0 && rb === 0 && name === "mul"))) {
        return name === "mul" || name === "div" ? 0 : ra + rb;
      }
      const moved = spread(a, ra, b, rb, value);
      const error = name === "div" ? precision.error("div", out.dtype, [a, b], Math.abs(value) + moved) : 0;
      return moved + error + rounding(precision, out, value, moved);
    });
  };
}

const isInfinite = (x: number): boolean => x === Infinity || x === -Infinity;
const hasSign = (x: number, r: number): boolean => Math.abs(x) > r;

/** The quotient's interval, by its corners; Infinity where the divisor may be 0. */
function quotientSpread(_x: number, rx: number, y: number, ry: number, value: number): number {
  if (!hasSign(y, ry)) return Infinity;
  const nearest = Math.abs(y) - ry;
  return (rx + Math.abs(value) * ry) / nearest;
}

/** A function that never falls or never rises: its interval is found at the ends of the operand's. */
function monotone(
  name: string,
  fn: (x: number) => number,
  domain: (low: number, high: number) => boolean = () => true,
): Rule {
  return (inputs, out, precision) => {
    const [x] = inputs;
    return out.data.map((value, i) => {
      const at = x.data[i], r = x.radius ? x.radius[i] : 0;
      if (at !== at && r === 0) return 0;
      if (r === Infinity) return Infinity;
      const low = at - r, high = at + r;
      if (value !== value) return r === 0 || high < 0 ? 0 : Infinity;
      if (!domain(low, high)) return Infinity;
      if (isInfinite(at) || isInfinite(value)) {
        return isInfinite(value)
          ? 0
          : value === 0
          ? precision.tiny(out.dtype)
          : precision.error(name, out.dtype, [20], value);
      }
      const moved = r === 0 ? 0 : Math.max(Math.abs(fn(high) - value), Math.abs(fn(low) - value));
      // What is exact in every implementation: log 1, and odd functions at 0.
      if (r === 0 && value === 0) return 0;
      return moved + precision.error(name, out.dtype, [Math.abs(at) + r], Math.abs(value) + moved) +
        rounding(precision, out, value, moved);
    });
  };
}

/** A function that moves at most `slope` times as far as its operand and stays within -1 and 1. */
function wave(name: string, slope: number): Rule {
  return ([x], out, precision) =>
    out.data.map((value, i) => {
      const at = x.data[i], r = x.radius ? x.radius[i] : 0;
      if (r === 0 && !Number.isFinite(at)) {
        return name === "erf" && at === at ? precision.error(name, out.dtype, [at], 1) : 0;
      }
      if (r === Infinity) return Infinity;
      if (r === 0 && at === 0) return name === "cos" ? precision.unit(out.dtype) : 0;
      return Math.min(
        2,
        slope * r + precision.error(name, out.dtype, [Math.abs(at) + r], value) +
          rounding(precision, out, value, slope * r),
      );
    });
}

const power: Rule = ([x, y], out, precision) =>
  out.data.map((value, i) => {
    const a = x.data[i], b = y.data[i], ra = x.radius ? x.radius[i] : 0, rb = y.radius ? y.radius[i] : 0;
    if (rb === 0 && b === 0) return 0;
    if (ra === Infinity || rb === Infinity) return Infinity;
    if (!Number.isFinite(value) || !Number.isFinite(a) || !Number.isFinite(b)) {
      return ra === 0 && rb === 0 && value !== value && (a !== a || b !== b) ? 0 : Infinity;
    }
    const isWhole = rb === 0 && Number.isInteger(b);
    if (a - ra <= 0 && !(isWhole && (ra === 0 || b > 0 || a + ra < 0))) {
      return a === 0 && ra === 0 && b - rb > 0 ? 0 : Infinity;
    }
    let moved = 0;
    for (const base of [a - ra, a + ra]) {
      for (const exponent of [b - rb, b + rb]) moved = Math.max(moved, Math.abs(Math.pow(base, exponent) - value));
    }
    return moved + precision.error("pow", out.dtype, [Math.abs(a) + ra, b], Math.abs(value) + moved) +
      rounding(precision, out, value, moved);
  });

function extreme(pick: (x: number, y: number) => number): Rule {
  return movable(([x, y], [rx, ry], value) => {
    if (value !== value) return (x !== x && rx === 0) || (y !== y && ry === 0) ? 0 : Infinity;
    if (rx === Infinity || ry === Infinity) return Infinity;
    if (isInfinite(value)) return 0;
    return Math.max(Math.abs(pick(x + rx, y + ry) - value), Math.abs(pick(x - rx, y - ry) - value));
  });
}

/** Decided where the operands are further apart than both may be off, or exact. */
const comparison: Rule = movable(([x, y], [rx, ry]) => {
  if ((x !== x && rx === 0) || (y !== y && ry === 0)) return 0;
  if (rx === 0 && ry === 0) return 0;
  return Math.abs(x - y) > rx + ry ? 0 : Infinity;
});

const choice: Rule = movable(([cond, x, y], [rc, rx, ry], value) => {
  if (rc === 0) return cond !== 0 ? rx : ry;
  // Either side may be taken: the hull of both.
  if (rx === 0 && ry === 0 && Object.is(x, y)) return 0;
  const [chosen, radius, other, otherRadius] = cond !== 0 ? [x, rx, y, ry] : [y, ry, x, rx];
  const hull = Math.max(radius, Math.abs(chosen - other) + otherRadius);
  return Number.isNaN(hull) || !Number.isFinite(value) ? Infinity : hull;
});

const conversion: Rule = ([x], out, precision) => {
  if (isFloat(out.dtype)) {
    return out.data.map((value, i) => {
      const r = x.radius ? x.radius[i] : 0;
      // An undecided bool is 0 or 1.
      const moved = x.dtype === "bool" && r > 0 ? 1 : r;
      return moved === Infinity
        ? Infinity
        : precision.holds(out.dtype, value) || !Number.isFinite(value)
        ? moved
        : moved + rounding(precision, out, value, moved);
    });
  }
  if (!isFloat(x.dtype)) return tainted([x], out, precision);
  const [lowest, highest] = out.dtype === "i32" ? [-2147483648, 2147483647] : [0, 4294967295];
  return out.data.map((_value, i) => {
    const at = x.data[i], r = x.radius ? x.radius[i] : 0;
    if (out.dtype === "bool") return r === 0 || Math.abs(at) > r ? 0 : Infinity;
    const low = Math.trunc(at - r), high = Math.trunc(at + r);
    // Outside an integer's range the result is unspecified.
    return low === high && low >= lowest && high <= highest ? 0 : Infinity;
  });
};

/**
 * The rest of a division: off by the operands' errors, the quotient's share of the divisor's, and the rounding of a
 * product as large as the dividend. Where that crosses a multiple of the divisor, anything between 0 and the divisor.
 */
const remainder: Rule = (inputs, out, precision) => {
  if (!isFloat(out.dtype)) return tainted(inputs, out, precision);
  const [x, y] = inputs, rx = radiusOf(x), ry = radiusOf(y), unit = precision.unit(out.dtype);
  return out.data.map((value, i) => {
    const a = x.data[i], b = y.data[i], ra = rx[i], rb = ry[i];
    if ((ra === 0 && a !== a) || (rb === 0 && b !== b)) return 0;
    if (!Number.isFinite(a) || !Number.isFinite(b) || b === 0) return ra === 0 && rb === 0 ? 0 : Infinity;
    const isWhole = Number.isInteger(a) && Number.isInteger(b) && Math.abs(a) < 2 ** 22 && Math.abs(b) < 2 ** 22;
    if (ra === 0 && rb === 0 && isWhole) return 0;
    if (!hasSign(b, rb)) return Infinity;
    const quotient = Math.abs(a / b) + 1, size = Math.abs(b) + rb;
    const moved = ra + quotient * rb + 4 * unit * (Math.abs(a) + ra + size) + precision.tiny(out.dtype);
    const distance = Math.min(Math.abs(value), Math.abs(b) - Math.abs(value));
    return distance > moved ? moved : size + moved;
  });
};

const same: Rule = ([x]) => x.radius?.slice();
/** A function of steps: how far it moves between the ends of the operand's interval. */
function stairs(above: (x: number) => number, below = above): Rule {
  return movable(([x], [r], value) => {
    if (r === 0) return 0;
    const spread = Math.max(Math.abs(above(x + r) - value), Math.abs(below(x - r) - value));
    return Number.isNaN(spread) ? Infinity : spread;
  });
}

const isFalse = (x: number, r: number): boolean => x === 0 && r === 0;
const isTrue = (x: number, r: number): boolean => x !== 0 && r === 0;

/** The rule of each elementwise primitive, by its name. */
export const MAP_RULES: Readonly<Record<string, Rule>> = {
  add: arithmetic("add", (_x, rx, _y, ry) => rx + ry, () => true),
  sub: arithmetic("sub", (_x, rx, _y, ry) => rx + ry, () => true),
  mul: arithmetic(
    "mul",
    (x, rx, y, ry) => Math.abs(x) * ry + Math.abs(y) * rx + rx * ry,
    (x, rx, y, ry) => (isInfinite(x) || isInfinite(y)) && (rx === 0 || hasSign(x, rx)) && (ry === 0 || hasSign(y, ry)),
  ),
  div: arithmetic("div", quotientSpread, (x, _rx, y, ry) => (isInfinite(y) ? true : isInfinite(x) && hasSign(y, ry))),
  maximum: extreme(Math.max),
  minimum: extreme(Math.min),
  pow: power,
  mod: remainder,
  neg: same,
  abs: same,
  sign: movable(([x], [r]) => (r === 0 || Math.abs(x) > r ? 0 : r === Infinity ? Infinity : 2)),
  floor: stairs(Math.floor),
  // Both neighbours of a half, whichever the even one is.
  round: stairs((x) => Math.floor(x + 0.5), (x) => Math.ceil(x - 0.5)),
  exp: monotone("exp", Math.exp),
  log: monotone("log", Math.log, (low) => low > 0),
  log1p: monotone("log1p", Math.log1p, (low) => low > -1),
  expm1: monotone("expm1", Math.expm1),
  sqrt: monotone("sqrt", Math.sqrt, (low) => low >= 0),
  rsqrt: monotone("rsqrt", (x) => 1 / Math.sqrt(x), (low) => low > 0),
  tanh: monotone("tanh", Math.tanh),
  sigmoid: monotone("sigmoid", (x) => 1 / (1 + Math.exp(-x))),
  sin: wave("sin", 1),
  cos: wave("cos", 1),
  erf: wave("erf", 1.1284),
  equal: comparison,
  notEqual: comparison,
  less: comparison,
  lessEqual: comparison,
  greater: comparison,
  greaterEqual: comparison,
  logicalAnd: movable(([x, y], [rx, ry]) => (isFalse(x, rx) || isFalse(y, ry) || rx + ry === 0 ? 0 : Infinity)),
  logicalOr: movable(([x, y], [rx, ry]) => (isTrue(x, rx) || isTrue(y, ry) || rx + ry === 0 ? 0 : Infinity)),
  logicalNot: tainted,
  where: choice,
  cast: conversion,
  threefry: tainted,
  stopGradient: same,
};

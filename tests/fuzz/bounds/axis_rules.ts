/**
 * Bounds of ops along axes: reductions, products, recurrences, gathers, scatters. Sums may be taken in any order and
 * grouping.
 */
import { isFloat, isHalf } from "../../../core/dtype.ts";
import type { NdArray } from "../../../core/op.ts";
import { sizeOfShape } from "../../../core/shape.ts";
import { rowsOf } from "../../../ops/strided.ts";
import { type Bounded, radiusOf } from "./bounded.ts";
import type { Precision } from "./precision.ts";

/** Whether all of some numbers are whole and their sum, in any order, is held exactly. */
function isWholeSum(sumOfSizes: number, allWhole: boolean, precision: Precision, { dtype }: NdArray): boolean {
  return allWhole && sumOfSizes <= (precision.unit(dtype) > 2 ** -20 ? 2048 : 2 ** 24);
}

/** A sum over axes. */
export function sumRule(
  x: Bounded,
  axes: readonly number[],
  out: NdArray,
  precision: Precision,
): Float64Array | undefined {
  if (!isFloat(out.dtype)) return x.radius && anyRow(x, axes, out);
  const { rows, rowSize } = rowsOf(x.data, x.shape, axes);
  const radii = x.radius && rowsOf(x.radius, x.shape, axes).rows;
  return out.data.map((value, row) => {
    let size = 0, spread = 0, whole = true, certainNaN = false;
    for (let i = row * rowSize; i < (row + 1) * rowSize; i++) {
      const r = radii ? radii[i] : 0;
      size += Math.abs(rows[i]);
      spread += r;
      whole &&= r === 0 && Number.isInteger(rows[i]);
      certainNaN ||= r === 0 && rows[i] !== rows[i];
    }
    if (!Number.isFinite(value) || certainNaN) return certainNaN || spread < Infinity ? 0 : Infinity;
    if (isWholeSum(size, whole, precision, out)) return 0;
    return spread + sumError(rowSize, size + spread, precision, out);
  });
}

/** The rounding errors of a sum of `count` terms whose sizes add up to `size`, in any order. */
function sumError(count: number, size: number, precision: Precision, { dtype }: NdArray): number {
  const n = count * precision.unit(dtype);
  return size * n / Math.max(0.5, 1 - n) + (size < precision.tiny(dtype) * 2 ** 24 ? count * precision.tiny(dtype) : 0);
}

/** Integers: undecided where any element of the row is. */
function anyRow(x: Bounded, axes: readonly number[], out: NdArray): Float64Array {
  const { rows, rowSize } = rowsOf(x.radius!, x.shape, axes);
  return out.data.map((
    _,
    row,
  ) => (rows.subarray(row * rowSize, (row + 1) * rowSize).some((r) => r > 0) ? Infinity : 0));
}

/** The greatest or least element, and where it is. */
export interface Candidates {
  /** Positions in the operand of the elements that may be the extreme one, for each row. */
  readonly positions: readonly (readonly number[])[];
  /** All positions of each row. */
  readonly rows: Float64Array;
  readonly rowSize: number;
}

/** The elements that may be the greatest of their row (`sign` 1) or the least (-1). */
export function candidates(x: Bounded, axes: readonly number[], sign: 1 | -1): Candidates {
  const numbers = Float64Array.from(x.data, (_, i) => i);
  const { rows, rowSize, rowCount } = rowsOf(numbers, x.shape, axes);
  const radius = radiusOf(x);
  const positions = Array.from({ length: rowCount }, (_, row) => {
    const all = [...rows.subarray(row * rowSize, (row + 1) * rowSize)];
    const floor = Math.max(...all.map((at) => sign * x.data[at] - radius[at]));
    return all.filter((at) => !(sign * x.data[at] + radius[at] < floor));
  });
  return { positions, rows, rowSize };
}

/** A maximum (`sign` 1) or minimum over axes: as far off as the elements that may be it. */
export function extremeRule(x: Bounded, axes: readonly number[], out: NdArray, sign: 1 | -1): Float64Array | undefined {
  const { radius } = x;
  if (!radius) return undefined;
  const { positions } = candidates(x, axes, sign);
  return out.data.map((value, row) => {
    const found = positions[row];
    if (value !== value) return found.some((at) => x.data[at] !== x.data[at] && radius[at] === 0) ? 0 : Infinity;
    return Math.max(0, ...found.map((at) => radius[at]));
  });
}

/** Where the greatest is: decided where one element is clear of the others, or all that tie are exact. */
export function argmaxRule(x: Bounded, axis: number, out: NdArray): Float64Array | undefined {
  const { radius } = x;
  if (!radius) return undefined;
  const { positions } = candidates(x, [axis], 1);
  return out.data.map((_, row) => isClear(positions[row], x.data, radius) ? 0 : Infinity);
}

/** Whether it is known which of the candidates are the extreme: one alone, or several that are exactly equal. */
export function isClear(positions: readonly number[], data: Float64Array, radius: Float64Array): boolean {
  return positions.length === 1
    ? data[positions[0]] === data[positions[0]] || radius[positions[0]] === 0
    : positions.every((at) => radius[at] === 0);
}

/**
 * A batched matrix product. Terms of which a factor is exactly zero may be left out, so zero times infinity is
 * undecided.
 */
export function productRule(lhs: Bounded, rhs: Bounded, out: NdArray, precision: Precision): Float64Array {
  const [M, K] = lhs.shape.slice(-2), N = rhs.shape[rhs.shape.length - 1];
  const radius = new Float64Array(out.data.length), sizes = new Float64Array(out.data.length);
  const leftRadius = radiusOf(lhs), rightRadius = radiusOf(rhs);
  // Products of 16-bit floats are summed in f32 and rounded once.
  const sumUnit = precision.unit("f32"), gamma = (K + 1) * sumUnit / Math.max(0.5, 1 - (K + 1) * sumUnit);
  const allWhole = !lhs.radius && !rhs.radius && lhs.data.every(Number.isInteger) && rhs.data.every(Number.isInteger);
  const rowCount = N === 0 ? 0 : out.data.length / N;
  for (let row = 0; row < rowCount; row++) {
    const batch = Math.floor(row / M);
    for (let k = 0; k < K; k++) {
      const a = Math.abs(lhs.data[row * K + k]), ra = leftRadius[row * K + k], from = (batch * K + k) * N;
      if (a === 0 && ra === 0) {
        for (let n = 0; n < N; n++) {
          if (!Number.isFinite(rhs.data[from + n]) || rightRadius[from + n] === Infinity) {
            radius[row * N + n] = Infinity;
          }
        }
        continue;
      }
      for (let n = 0; n < N; n++) {
        const b = Math.abs(rhs.data[from + n]), rb = rightRadius[from + n];
        if (b === 0 && rb === 0) {
          if (!Number.isFinite(a) || ra === Infinity) radius[row * N + n] = Infinity;
          continue;
        }
        sizes[row * N + n] += (a + ra) * (b + rb);
        radius[row * N + n] += a * rb + ra * (b + rb);
      }
    }
  }
  return radius.map((spread, i) => {
    const value = out.data[i];
    if (!Number.isFinite(value)) return !lhs.radius && !rhs.radius && spread !== Infinity ? 0 : Infinity;
    if (isWholeSum(sizes[i], allWhole, precision, out)) return 0;
    const own = isHalf(out.dtype) ? precision.unit(out.dtype) * (Math.abs(value) + spread) : 0;
    const flushed = sizes[i] < precision.tiny(out.dtype) * 2 ** 24 && sizes[i] > 0 ? K * precision.tiny(out.dtype) : 0;
    return spread + gamma * sizes[i] + own + flushed;
  });
}

/**
 * `h_t = a_t h_{t-1} + b_t`: the bound goes along, and with it the size of the terms, so that any grouping of them is
 * covered.
 */
export function recurrenceRule(
  a: Bounded,
  b: Bounded,
  { axis, reverse }: { readonly axis: number; readonly reverse: boolean },
  out: NdArray,
  precision: Precision,
): Float64Array | undefined {
  const isInteger = !isFloat(out.dtype);
  if (isInteger && !a.radius && !b.radius) return undefined;
  const radius = new Float64Array(out.data.length), ra = radiusOf(a), rb = radiusOf(b), { shape } = out;
  const extent = shape[axis], inner = sizeOfShape(shape.slice(axis + 1)), outer = sizeOfShape(shape.slice(0, axis));
  const unit = precision.unit(out.dtype), tiny = precision.tiny(out.dtype);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      let h = 0, r = 0, size = 0, exact = true, certainNaN = false;
      for (let t = 0; t < extent; t++) {
        const at = (o * extent + (reverse ? extent - 1 - t : t)) * inner + i;
        const factor = a.data[at], term = b.data[at], value = out.data[at];
        if (isInteger) {
          r = r > 0 || ra[at] > 0 || rb[at] > 0 ? Infinity : 0;
          radius[at] = r;
          continue;
        }
        size = (Math.abs(factor) + ra[at]) * size + Math.abs(term) + rb[at];
        exact &&= ra[at] === 0 && rb[at] === 0 && Number.isInteger(factor) && Number.isInteger(term) && size < 2 ** 24;
        r = exact ? 0 : Math.abs(factor) * r + Math.abs(h) * ra[at] + ra[at] * r + rb[at] + 3 * unit * size +
          (size < tiny * 2 ** 24 ? tiny : 0);
        // NaN stays NaN. From the first infinity on, what a reordered recurrence gives is not promised.
        certainNaN ||= (term !== term && rb[at] === 0) || (factor !== factor && ra[at] === 0 && t > 0);
        if (certainNaN) r = 0;
        else if (!Number.isFinite(value) || Number.isNaN(r)) r = Infinity;
        h = value;
        radius[at] = r;
      }
    }
  }
  return radius;
}

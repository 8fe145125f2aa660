/**
 * Sets of points as unions of bands. A band is the set where all of its indices are nonnegative (see `Band` in
 * kernel.ts).
 *
 * Invariant: results may be larger than the exact set, never smaller. A region says where something may be relevant;
 * whatever is too complex is assumed to be relevant everywhere.
 */
import { addIndex, type Index, scaleIndex } from "../../core/index_expr.ts";
import type { Band } from "../kernel.ts";

/** A union of bands. The empty union contains no point; a band without indices contains every point. */
export type Region = readonly Band[];

/** Every point. */
export const EVERYWHERE: Region = [[]];
/** No point. */
export const NOWHERE: Region = [];

/** Regions with more bands than this are widened to something simpler. */
const MAX_BANDS = 8;

/** Bands with more indices than this are widened by dropping some. */
const MAX_INDICES = 16;

/** The points at which `index` is nonnegative. */
export function atLeastZero(index: Index): Region {
  return unite([intersectBands([], [index])]);
}

/** The union of two regions. */
export function union(a: Region, b: Region): Region {
  return unite([...a, ...b]);
}

/** The intersection of two regions. */
export function intersection(a: Region, b: Region): Region {
  const both = unite(a.flatMap((left) => b.map((right) => intersectBands(left, right))), Infinity);
  if (both.length <= MAX_BANDS) return both;
  return a.length <= b.length ? a : b;
}

/** Removes duplicates and bands that are contained in others. */
function unite(bands: readonly (Band | undefined)[], most = MAX_BANDS): Region {
  const kept: Band[] = [];
  for (const band of bands) {
    if (!band || kept.some((other) => isInside(band, other))) continue;
    const others = kept.filter((other) => !isInside(other, band));
    kept.splice(0, kept.length, ...others, band);
  }
  return kept.length <= most ? kept : EVERYWHERE;
}

/** The intersection of two bands, without redundant indices; undefined if it is provably empty. */
function intersectBands(a: Band, b: Band): Band | undefined {
  const band: Index[] = [];
  for (const index of [...a, ...b]) {
    if (index.max < 0 || band.some((other) => addIndex(index, other).max < 0)) return undefined;
    if (index.min >= 0 || band.some((other) => implies(other, index))) continue;
    const others = band.filter((other) => !implies(index, other));
    band.splice(0, band.length, ...others, index);
  }
  return band.slice(0, MAX_INDICES);
}

/** Whether `inner` is provably contained in `outer`. */
function isInside(inner: Band, outer: Band): boolean {
  return outer.every((index) => inner.some((other) => implies(other, index)));
}

/** Whether `index >= 0` provably implies `then >= 0`. */
function implies(index: Index, then: Index): boolean {
  return addIndex(then, scaleIndex(index, -1)).min >= 0;
}

/** Whether an index is allowed in a band: its extremes over a box must be at the corners of the box. */
export function isMonotone(index: Index): boolean {
  return index.terms.every(({ atom }) => atom.kind === "var" || (atom.kind === "div" && isMonotone(atom.of)));
}

/** Rewrites the indices of a region, dropping those that would not be allowed in a band. */
export function mapRegion(region: Region, rewrite: (index: Index) => Index): Region {
  return region.reduce<Region>((all, band) => {
    const parts = band.map(rewrite).filter(isMonotone);
    return unite([...all, parts.reduce<Band | undefined>((sum, index) => sum && intersectBands(sum, [index]), [])]);
  }, NOWHERE);
}

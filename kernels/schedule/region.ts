/**
 * Sets of points, as unions of bands: a band is where all of its indices are at least 0 (see `Band` in kernel.ts).
 *
 * What is computed here may be larger than what is meant, never smaller: a set says where something might matter, and
 * what is too intricate might matter everywhere.
 */
import { addIndex, type Index, scaleIndex } from "../../core/index_expr.ts";
import type { Band } from "../kernel.ts";

/** A union of bands. No band is no point; a band without indices is every point. */
export type Region = readonly Band[];

/** Every point. */
export const EVERYWHERE: Region = [[]];
/** No point. */
export const NOWHERE: Region = [];

/** Regions of more bands than this grow to something simpler. */
const MAX_BANDS = 8;

/** Of bands with more indices than this some are left out: the band grows. */
const MAX_INDICES = 16;

/** The points at which `index` is at least 0. */
export function atLeastZero(index: Index): Region {
  return unite([intersectBands([], [index])]);
}

/** The points of either region. */
export function union(a: Region, b: Region): Region {
  return unite([...a, ...b]);
}

/** The points of both regions. */
export function intersection(a: Region, b: Region): Region {
  const both = unite(a.flatMap((left) => b.map((right) => intersectBands(left, right))), Infinity);
  if (both.length <= MAX_BANDS) return both;
  return a.length <= b.length ? a : b;
}

/** Bands that exist, each once, without those that lie inside another. */
function unite(bands: readonly (Band | undefined)[], most = MAX_BANDS): Region {
  const kept: Band[] = [];
  for (const band of bands) {
    if (!band || kept.some((other) => isInside(band, other))) continue;
    const others = kept.filter((other) => !isInside(other, band));
    kept.splice(0, kept.length, ...others, band);
  }
  return kept.length <= most ? kept : EVERYWHERE;
}

/** The band of both, without indices that others imply; undefined if it is seen to be empty. */
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

/** Whether each point of `inner` is seen to be one of `outer`. */
function isInside(inner: Band, outer: Band): boolean {
  return outer.every((index) => inner.some((other) => implies(other, index)));
}

/** Whether `then` is at least 0 wherever `index` is. */
function implies(index: Index, then: Index): boolean {
  return addIndex(then, scaleIndex(index, -1)).min >= 0;
}

/** Whether an index is as a band's must be: its extremes over a box lie at the box's corners. */
export function isMonotone(index: Index): boolean {
  return index.terms.every(({ atom }) => atom.kind === "var" || (atom.kind === "div" && isMonotone(atom.of)));
}

/** A region whose indices are rewritten; those that become something that no band may have are left out. */
export function mapRegion(region: Region, rewrite: (index: Index) => Index): Region {
  return region.reduce<Region>((all, band) => {
    const parts = band.map(rewrite).filter(isMonotone);
    return unite([...all, parts.reduce<Band | undefined>((sum, index) => sum && intersectBands(sum, [index]), [])]);
  }, NOWHERE);
}

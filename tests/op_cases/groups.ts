/** What a reduction combines, said plainly. */
import type { NdArray } from "../../core/op.ts";
import { sizeOfShape } from "../../core/shape.ts";
import { build } from "../numeric.ts";

/** The elements that each kept index combines, in order. */
export function groups(x: NdArray, axes: number | readonly number[] | undefined): number[][] {
  const list = axes === undefined
    ? [...x.shape.keys()]
    : [axes].flat().map((axis) => (axis < 0 ? axis + x.shape.length : axis));
  const kept = x.shape.map((extent, axis) => (list.includes(axis) ? 1 : extent));
  const result = Array.from({ length: sizeOfShape(kept) }, () => [] as number[]);
  const places = build(
    x.shape,
    (index) => index.reduce((offset, i, axis) => offset * kept[axis] + (kept[axis] === 1 ? 0 : i), 0),
  );
  places.forEach((place, i) => result[place].push(x.data[i]));
  return result;
}

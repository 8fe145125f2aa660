/** How much of a product's tiles is unmasked (see `mask` of ContractKernel), and whether it is worth skipping the others. */
import { type Index, type Var, visitVars } from "../core/index_expr.ts";
import type { ContractKernel } from "./kernel.ts";

/** The share of unmasked tiles above which skipping the others is not worth the code. */
const WORTHWHILE = 0.85;
/** Maximum number of tiles to sample, evenly spaced. */
const MAX_COUNTED = 1 << 16;

/** Sizes of tiles. */
export interface TileSize {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

/** The share of tiles in which some term may be unmasked; with tiles of one, the share of terms. */
export function unmaskedShare(
  kernel: ContractKernel,
  { rows, columns, depth }: TileSize = { rows: 1, columns: 1, depth: 1 },
): number {
  const { mask, m, n, k } = kernel;
  if (mask.length === 0) return 1;
  const variables = new Map<number, Var>();
  mask.flat().forEach((index) => visitVars(index, (variable) => variables.set(variable.id, variable)));
  const sizes = new Map([[m.id, rows], [n.id, columns], [k.id, depth]]);
  const axes = [...variables.values()].map(({ id, extent }) => {
    const size = Math.min(extent, sizes.get(id) ?? 1);
    return { id, size, count: Math.ceil(extent / size) };
  });
  const perAxis = Math.floor(MAX_COUNTED ** (1 / Math.max(1, axes.length)));
  const values = new Map<number, readonly [number, number]>();
  let tiles = 0, alive = 0;
  const visit = (at: number): void => {
    if (at === axes.length) {
      tiles++;
      if (mask.some((band) => band.every((index) => extremeOf(index, values, 1) >= 0))) alive++;
      return;
    }
    const { id, size, count } = axes[at], step = Math.max(1, count / perAxis);
    for (let i = 0; Math.floor(i) < count; i += step) {
      const start = Math.floor(i) * size;
      values.set(id, [start, start + size - 1]);
      visit(at + 1);
    }
  };
  visit(0);
  return alive / tiles;
}

/** The maximum (`sign` 1) or minimum (-1) of an index in a box of constants. */
function extremeOf(index: Index, box: ReadonlyMap<number, readonly [number, number]>, sign: 1 | -1): number {
  let sum = index.constant;
  for (const { atom, coefficient } of index.terms) {
    const upward = (coefficient > 0) === (sign > 0);
    if (atom.kind === "var") sum += coefficient * box.get(atom.variable.id)![upward ? 1 : 0];
    else if (atom.kind === "div") sum += coefficient * Math.floor(extremeOf(atom.of, box, upward ? 1 : -1) / atom.by);
  }
  return sum;
}

/** Whether skipping masked tiles of a given size pays off. */
export function isWorthSkipping(kernel: ContractKernel, size: TileSize): boolean {
  return kernel.mask.length > 0 && unmaskedShare(kernel, size) <= WORTHWHILE;
}

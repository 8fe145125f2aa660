/**
 * Finds the unmasked parts of a product's tiles (see `mask` of ContractKernel), for all printers.
 *
 * The extremes of a band's indices over a box are at its corners, so that one comparison per index decides whether a
 * whole tile can be skipped, and the same index solved for k gives the steps that cannot.
 */
import {
  addIndex,
  constantIndex,
  divIndex,
  type Index,
  scaleIndex,
  type Var,
  varIndex,
  visitVars,
} from "../core/index_expr.ts";
import type { Band, ContractKernel } from "./kernel.ts";

/** The range of a variable in a tile: `start .. start + size - 1`. */
export interface Side {
  readonly start: Index;
  readonly size: number;
}

/** A box in a kernel's space: sides by variable id. A variable without a side is a single point. */
export type Tile = ReadonlyMap<number, Side>;

/**
 * The steps of k that one band leaves in a tile: none unless every `when` is nonnegative, otherwise from the maximum of
 * `first` to below the minimum of `end`.
 */
export interface Steps {
  readonly when: readonly Index[];
  readonly first: readonly Index[];
  readonly end: readonly Index[];
}

/** The maximum of a band's index in a tile, as a function of the tile's position. */
export function greatest(index: Index, tile: Tile): Index {
  let sum = constantIndex(index.constant);
  for (const { atom, coefficient } of index.terms) {
    const extreme = coefficient > 0 ? greatest : least;
    if (atom.kind === "var") {
      const side = tile.get(atom.variable.id);
      const value = side ? addIndex(side.start, coefficient > 0 ? side.size - 1 : 0) : varIndex(atom.variable);
      sum = addIndex(sum, scaleIndex(value, coefficient));
    } else if (atom.kind === "div") {
      sum = addIndex(sum, scaleIndex(divIndex(extreme(atom.of, tile), atom.by), coefficient));
    }
  }
  return sum;
}

function least(index: Index, tile: Tile): Index {
  return scaleIndex(greatest(scaleIndex(index, -1), tile), -1);
}

/**
 * For each band that may have terms in a tile: indices that are all nonnegative if it does. An empty list means always.
 */
export function maskConditions(mask: readonly Band[], tile: Tile): readonly Band[] {
  return mask.map((band) => band.map((index) => greatest(index, tile)).filter(({ min }) => min < 0)).filter((band) =>
    band.every(({ max }) => max >= 0)
  );
}

/** The unmasked steps of k in a tile of rows and columns, per band. */
export function maskSteps({ mask, k }: ContractKernel, tile: Tile): Steps[] {
  const all = new Map(tile).set(k.id, { start: constantIndex(0), size: k.extent });
  return mask.map((band) => {
    const when: Index[] = [], first: Index[] = [], end: Index[] = [];
    for (const index of band) {
      const bound = solve(index, k, tile);
      if (bound?.first) first.push(bound.first);
      else if (bound?.end) end.push(bound.end);
      else when.push(greatest(index, all));
    }
    return {
      when: when.filter(({ min }) => min < 0),
      first: first.filter(({ max }) => max > 0),
      end: end.filter(({ min }) => min < k.extent),
    };
  }).filter(({ when }) => when.every(({ max }) => max >= 0));
}

/**
 * The first k, or one past the last k, for which an index is nonnegative somewhere in a tile; undefined if the index is
 * not linear in k or contains k more than once.
 */
function solve(index: Index, k: Var, tile: Tile): { readonly first?: Index; readonly end?: Index } | undefined {
  const readers = index.terms.filter(({ atom }) => {
    let reads = false;
    if (atom.kind === "var") return atom.variable.id === k.id;
    if (atom.kind === "div") visitVars(atom.of, ({ id }) => reads ||= id === k.id);
    return reads;
  });
  if (readers.length !== 1 || Math.abs(readers[0].coefficient) !== 1) return undefined;
  const [{ atom, coefficient, key }] = readers;
  const rest = greatest(
    index.terms.filter((term) => term.key !== key).reduce(plusTerm, constantIndex(index.constant)),
    tile,
  );
  const by = atom.kind === "div" ? atom.by : 1, offset = atom.kind === "div" ? without(atom.of, k) : constantIndex(0);
  if (!offset) return undefined;
  // k + offset >= -rest by, or (k + offset) div by <= rest.
  if (coefficient === 1) return { first: addIndex(scaleIndex(rest, -by), scaleIndex(greatest(offset, tile), -1)) };
  return { end: addIndex(addIndex(scaleIndex(rest, by), by), scaleIndex(least(offset, tile), -1)) };
}

function plusTerm(sum: Index, { atom, coefficient }: Index["terms"][number]): Index {
  const value = atom.kind === "var"
    ? varIndex(atom.variable)
    : atom.kind === "div"
    ? divIndex(atom.of, atom.by)
    : constantIndex(0);
  return addIndex(sum, scaleIndex(value, coefficient));
}

/** `index - k`, provided that it does not depend on k. */
function without(index: Index, k: Var): Index | undefined {
  const rest = addIndex(index, scaleIndex(varIndex(k), -1));
  let reads = false;
  visitVars(rest, ({ id }) => reads ||= id === k.id);
  return reads ? undefined : rest;
}

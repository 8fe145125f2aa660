/**
 * With which factors the tokens of a tile, the memory before it and the surprise before it enter what is read and what
 * is left.
 *
 * In the terms of chunked_memory.ts a tile of C tokens needs, with C = G diag(theta): all of C, a_t and b_t to read,
 * and of the last token T the rows c = theta g(T, .) and e = theta p(T, .), a_T, b_T and p(T, 0) to move on. All of
 * them stand in two matrices, each a recurrence over the tokens:
 *
 *     p, eta the factor:          columns s <= C start as 1 at t = s       then one stays 0,             and p(t, 0)
 *     g, 1 - alpha the factor:    columns s <= C take p(t, s) in           then a_t, from 1 at t = 0,    and b_t, which takes p(t, 0) in
 *
 * The second takes the first in at the same token, so one kernel walks both, and another one both of their gradients.
 */
import type { Tensor } from "../../../core/graph.ts";
import {
  add,
  broadcastTo,
  cast,
  concat,
  equal,
  expandDims,
  iota,
  linearScan,
  logicalAnd,
  mul,
  pad,
  sliceAxis,
  sub,
  swapAxes,
} from "../../../ops/mod.ts";
import type { LayerShape, MemorySequence } from "./memory_network.ts";

/** The gates of tiles, [..., C]. */
export type TileGates = Pick<MemorySequence, "theta" | "eta" | "alpha">;

/** The factors of tiles of C tokens. */
export interface TileFactors {
  /**
   * Factors for reading at each token: weights of the gradient rows [..., C, C], and of memory and surprise before the
   * tile [..., C, 2].
   */
  readonly read: { readonly rows: Tensor; readonly state: Tensor };
  /**
   * Memory and surprise after the tile: weights of the gradient rows [..., C, 2], and for each layer of the memory and
   * of the surprise before it, [..., 2, S, 1], once for each of the S parts of {@link partsOf}. Repeated here, so that
   * in a loop the long sums of the gradient are left to its outside.
   */
  readonly next: { readonly rows: Tensor; readonly memory: readonly Tensor[]; readonly surprise: readonly Tensor[] };
}

/** How a layer's matrix is split into parts of equal size: [number of parts, size]. */
export function partsOf(layer: LayerShape): [number, number] {
  return [Math.min(layer.in, layer.out), Math.max(layer.in, layer.out)];
}

/**
 * The factors of tiles.
 * @param gates Of the tiles' tokens.
 * @param layers The layers of the memory network.
 * @param strict Whether a token reads the memory before its own update.
 */
export function tileFactors(
  { theta, eta, alpha }: TileGates,
  layers: readonly LayerShape[],
  strict: boolean,
): TileFactors {
  const C = theta.shape[theta.rank - 1];
  // Padded with columns of zeros, so that rows of four columns are contiguous.
  const columns = 4 * Math.ceil((C + 2) / 4), memory = C, surprise = C + 1;
  const token = iota([C, columns], 0), column = iota([C, columns], 1);
  const mask = (condition: Tensor): Tensor => broadcastTo(cast(condition, theta.dtype), [...theta.shape, columns]);
  // A column that is 1 before the first token equals its factor after it.
  const startsAsOne = (at: number, factor: Tensor): Tensor =>
    mul(mask(logicalAnd(equal(token, 0), equal(column, at))), factor);
  const momentum = expandDims(eta, -1), keep = expandDims(sub(1, alpha), -1); // [..., C, 1]
  const p = linearScan(momentum, add(mask(equal(token, column)), startsAsOne(surprise, momentum)), { axis: -2 }); // [..., C, columns]
  const g = linearScan(keep, add(p, startsAsOne(memory, keep)), { axis: -2 });
  const weights = expandDims(
    pad(theta, theta.shape.map((_, axis) => [0, axis === theta.rank - 1 ? columns - C : 0]), 1),
    -2,
  ); // theta, then ones
  const read = mul(g, weights);
  const last = (x: Tensor): Tensor => sliceAxis(x, -2, C - 1, 1);
  const next = concat([last(read), mul(last(p), weights)], -2); // [..., 2, columns]
  const of = (x: Tensor, start: number, count = 1): Tensor => sliceAxis(x, -1, start, count);
  return {
    read: strict
      ? {
        rows: delay(of(read, 0, C), 0),
        state: concat([delay(of(read, memory), 1), delay(of(read, surprise), 0)], -1),
      }
      : { rows: of(read, 0, C), state: of(read, memory, 2) },
    next: {
      rows: swapAxes(of(next, 0, C), -1, -2),
      memory: layers.map((layer) => repeated(of(next, memory), layer)),
      surprise: layers.map((layer) => repeated(of(next, surprise), layer)),
    },
  };
}

/** Factors [..., 2, 1] for each part of a layer's matrix: [..., 2, S, 1]. */
function repeated(factors: Tensor, layer: LayerShape): Tensor {
  return expandDims(broadcastTo(factors, [...factors.shape.slice(0, -1), partsOf(layer)[0]]), -1);
}

/** Shifts rows by one: a row of `first` is inserted at the start and the last row is dropped. */
function delay(x: Tensor, first: number): Tensor {
  const shorter = sliceAxis(x, -2, 0, x.shape[x.rank - 2] - 1);
  return pad(shorter, shorter.shape.map((_, axis) => [axis === x.rank - 2 ? 1 : 0, 0]), first);
}

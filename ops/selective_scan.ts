/**
 * The selective scan: a linear recurrence with a state of N numbers per channel, read at every step and never stored
 * for every step.
 *
 *     h_t[n, e] = exp(delta_t[e] a[n, e]) h_{t-1}[n, e] + delta_t[e] b_t[n] u_t[e]        y_t[e] = sum over n of c_t[n] h_t[n, e]
 *
 * The decay differs by channel and state, so it is no product of a factor of the reading token and one of the writing
 * token, and there is no form in matrix products. All states of a sequence would take [B, T, N, E] numbers, N times as
 * many as anything else in a layer. So time is cut into pieces: a `scan` carries the state [B, N, E] from piece to
 * piece, its gradient starts from the states between pieces and computes those inside a piece again, and the states of
 * one piece only are in memory, where caches hold them.
 */
import { ShapeError } from "../core/errors.ts";
import type { Tensor } from "../core/graph.ts";
import { checkOptions, optionNames } from "../core/options.ts";
import { scan } from "../core/scan.ts";
import { formatType, sameShape } from "../core/shape.ts";
import { add, mul } from "./binary.ts";
import { sum } from "./broadcast.ts";
import { checkDomain, checkSameDType } from "./define.ts";
import { linearScan } from "./linear_scan.ts";
import { pad, sliceAxis } from "./slice.ts";
import { zeros } from "./sources.ts";
import { exp } from "./unary.ts";
import { expandDims, reshape, squeeze, swapAxes } from "./views.ts";

/** What {@link selectiveScan} reads, by the letters of Mamba's paper. */
export interface SelectiveScanInputs {
  /** The inputs, `[B, T, E]`. */
  readonly u: Tensor;
  /** The step sizes, `[B, T, E]`; not negative. */
  readonly delta: Tensor;
  /** The rates, `[N, E]`; negative ones forget. */
  readonly a: Tensor;
  /** How inputs enter the states, `[B, T, N]`. */
  readonly b: Tensor;
  /** How states are read, `[B, T, N]`. */
  readonly c: Tensor;
}

/** Options of {@link selectiveScan}. */
export interface SelectiveScanOptions {
  /** The state before the first step, `[B, N, E]`. Default: zeros. */
  readonly state?: Tensor;
  /** Steps whose states are in memory at once. Changes cost, not values. Default: as many as a core's cache holds. */
  readonly piece?: number;
}

const SELECTIVE_SCAN_OPTIONS = optionNames<SelectiveScanOptions>({ state: true, piece: true });

/** Numbers in the states of a piece: a megabyte, which caches hold and which is worth a kernel's launch. */
const PIECE_SIZE = 2 ** 18;

/** Below, states between pieces would take more memory than inputs; above, a piece would no longer be a small part of T. */
const LEAST_PIECE = 16, LARGEST_PIECE = 256;

/** Steps of a piece of which each has so many numbers in its states. */
function pieceOf(size: number): number {
  const steps = 2 ** Math.round(Math.log2(PIECE_SIZE / Math.max(1, size)));
  return Math.min(LARGEST_PIECE, Math.max(LEAST_PIECE, steps));
}

/** Steps that are handled together. */
type Piece = Omit<SelectiveScanInputs, "a">;

/**
 * The recurrence of Mamba (Gu and Dao, arXiv 2312.00752, algorithm 2): `h_t = exp(delta_t a) h_{t-1} + delta_t b_t u_t`,
 * `y_t = sum over n of c_t h_t`. Cost: `B T N E` exponentials and some 4 multiply-adds each; memory: the states of one
 * piece, and for the gradient one state a piece. Gradient: the recurrence in the opposite direction, to all five and
 * the state; the states inside a piece are computed again.
 * @returns The output `[B, T, E]`, and the state after the last step `[B, N, E]`.
 * @throws {ShapeError} if the shapes do not fit each other.
 * @throws {DTypeError} if the dtypes differ or are not floats.
 */
export function selectiveScan(
  inputs: SelectiveScanInputs,
  options: SelectiveScanOptions = {},
): [output: Tensor, state: Tensor] {
  checkOptions("selectiveScan", options, SELECTIVE_SCAN_OPTIONS);
  checkInputs(inputs ?? {}, options);
  const { a, ...steps } = inputs, [B, T, E] = steps.u.shape, N = a.shape[0];
  const { piece = pieceOf(B * N * E), state = zeros([B, N, E], steps.u.dtype) } = options;
  if (T <= piece) {
    const [last, output] = pieceStep(a, state, steps);
    return [output, last];
  }
  const count = Math.ceil(T / piece);
  const [last, outputs] = scan(
    (carry: Tensor, x: Piece) => pieceStep(a, carry, x),
    state,
    inPieces(steps, count, piece),
    { rematerialize: "recompute" },
  );
  return [sliceAxis(reshape(swapAxes(outputs, 0, 1), [B, count * piece, E]), 1, 0, T), last];
}

/** Cuts time into pieces, on a new leading axis. Steps of size 0 fill the last: they leave the state as it is. */
function inPieces({ u, delta, b, c }: Piece, count: number, piece: number): Piece {
  const cut = (x: Tensor): Tensor => {
    const [B, T, width] = x.shape, missing = count * piece - T;
    const filled = missing === 0 ? x : pad(x, [[0, 0], [0, missing], [0, 0]]);
    return swapAxes(reshape(filled, [B, count, piece, width]), 0, 1);
  };
  return { u: cut(u), delta: cut(delta), b: cut(b), c: cut(c) };
}

/** The state after a piece, and what its steps read. */
function pieceStep(a: Tensor, state: Tensor, { u, delta, b, c }: Piece): [state: Tensor, output: Tensor] {
  const overStates = (x: Tensor): Tensor => expandDims(x, 2), overChannels = (x: Tensor): Tensor => expandDims(x, 3);
  const decay = exp(mul(overStates(delta), a)); // [B, P, N, E]
  const input = mul(overStates(mul(delta, u)), overChannels(b));
  // Nothing precedes the first step of a linear scan: what the state before leaves of it enters there.
  const P = decay.shape[1], left = mul(sliceAxis(decay, 1, 0, 1), expandDims(state, 1)); // [B, 1, N, E]
  const states = linearScan(decay, add(input, pad(left, [[0, 0], [0, P - 1], [0, 0], [0, 0]])), { axis: 1 });
  return [
    squeeze(sliceAxis(states, 1, P - 1, 1), 1),
    sum(mul(states, overChannels(c)), { axes: 2 }),
  ];
}

function checkInputs({ u, delta, a, b, c }: SelectiveScanInputs, { state, piece = 1 }: SelectiveScanOptions): void {
  checkDomain("run a selective scan over u", u, "float");
  const [B, T, E] = u.shape, N = a.shape[0];
  const expected: readonly (readonly [name: string, x: Tensor | undefined, shape: readonly number[], axes: string])[] =
    [
      ["u", u, [B, T, E], "[B, T, E]"],
      ["delta", delta, [B, T, E], "[B, T, E]"],
      ["a", a, [N, E], "[N, E]"],
      ["b", b, [B, T, N], "[B, T, N]"],
      ["c", c, [B, T, N], "[B, T, N]"],
      ["state", state, [B, N, E], "[B, N, E]"],
    ];
  for (const [name, x, shape, axes] of expected) {
    if (!x) continue;
    checkSameDType(`selectiveScan with ${name}`, u, x);
    if (sameShape(x.shape, shape) && x.rank === axes.split(",").length) continue;
    throw new ShapeError(
      `Cannot run a selective scan over u ${formatType(u)} with ${name} ${
        formatType(x)
      }: ${name} must be ${axes}, here [${shape.join(", ")}]`,
      [u.shape, x.shape],
    );
  }
  if (Number.isInteger(piece) && piece >= 1 && T >= 1) return;
  throw new ShapeError(
    `Cannot run a selective scan over u ${formatType(u)} in pieces of ${piece}: steps and pieces must be at least 1`,
    [u.shape],
  );
}

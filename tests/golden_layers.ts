/**
 * Two neural-memory layers whose losses, gradients and final states are known from independent frameworks, written with
 * ops, `grad` and `scan`.
 *
 * The first updates its memory once a chunk. The second has a memory state for every token, as the token loop or in the
 * matmul-only form.
 */
import { grad, valueAndGrad } from "../core/grad.ts";
import type { Tensor } from "../core/graph.ts";
import { scan } from "../core/scan.ts";
import { sizeOfShape } from "../core/shape.ts";
import {
  add,
  broadcastTo,
  expandDims,
  gelu,
  l2Normalize,
  matmul,
  mean,
  mul,
  reshape,
  sigmoid,
  silu,
  square,
  sub,
  sum,
  swapAxes,
  transpose,
  zerosLike,
} from "../ops/mod.ts";
import { chunkedMemory } from "../titans/mixers/titans/chunked_memory.ts";
import { mergeHeads, splitHeads } from "../titans/nn/layers.ts";
import { type MemoryState, mlpMemory } from "../titans/mixers/titans/memory_network.ts";
import { naiveMemory } from "../titans/mixers/titans/naive.ts";

/** An input of a golden layer. */
export interface GoldenArray {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A layer with known numbers. */
export interface GoldenLayer {
  readonly name: string;
  readonly parameters: Readonly<Record<string, GoldenArray>>;
  readonly x: GoldenArray;
  readonly y: GoldenArray;
  /** The loss, a scalar; for benchmarks. */
  readonly loss: (params: Readonly<Record<string, Tensor>>, x: Tensor, y: Tensor) => Tensor;
  /** All that is known of it: `loss`, the gradient `d<name>` of each parameter, and final states. */
  readonly evaluate: (params: Readonly<Record<string, Tensor>>, x: Tensor, y: Tensor) => Record<string, Tensor>;
  /** Euclidean norms of what `evaluate` gives (the loss is its own norm). */
  readonly expected: Readonly<Record<string, number>>;
  /** Relative error that the digits of the table allow. */
  readonly digits: Readonly<Record<string, number>>;
}

/** Numbers that look normal: the sum of four uniform ones, from a 32-bit generator. Row-major f32. */
export function randn(size: number, scale: number, seed: number): Float32Array {
  let state = seed >>> 0;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return Float32Array.from(
    { length: size },
    () => (uniform() + uniform() + uniform() + uniform() - 2) * Math.sqrt(3) * scale,
  );
}

function golden(shape: readonly number[], scale: number, seed: number): GoldenArray {
  return { shape, data: randn(sizeOfShape(shape), scale, seed) };
}

/** Norms of gradients, and the loss in f64 (a running f32 sum of it ends at 1.02202). */
const CHUNK_TABLE: Readonly<Record<string, string>> = {
  loss: "1.02204121",
  dWq: "6.882538e-3",
  dWk: "7.653751e-3",
  dWv: "1.5352890e-2",
  dWo: "4.7027759e-2",
  dWt: "7.606898e-3",
  dWe: "2.148233e-3",
  dWa: "8.08019e-4",
  dm1: "6.082188e-3",
  dm2: "6.368120e-3",
};

/** The layer that updates its memory once a chunk. Its numbers are known for 512 tokens and chunks of 64. */
export function chunkLayer({ T = 512, C = 64 }: { readonly T?: number; readonly C?: number } = {}): GoldenLayer {
  const B = 2, D = 128, H = 2, K = 64;
  const projections = ["Wq", "Wk", "Wv", "Wo"].map((
    name,
    i,
  ): [string, GoldenArray] => [name, golden([D, D], 0.09, 1 + i)]);
  const gates = ["Wt", "We", "Wa"].map((name, i): [string, GoldenArray] => [name, golden([D, H], 0.09, 5 + i)]);
  const parameters = {
    ...Object.fromEntries([...projections, ...gates]),
    m1: golden([H, K, 4 * K], 1 / 8, 8),
    m2: golden([H, 4 * K, K], 1 / 16, 9),
  };
  const memory = ([w1, w2]: readonly Tensor[], z: Tensor): Tensor => matmul(gelu(matmul(z, w1)), w2);
  const loss = (params: Readonly<Record<string, Tensor>>, x: Tensor, y: Tensor): Tensor => {
    const chunks = (z: Tensor): Tensor => transpose(reshape(z, [B, H, T / C, C, K]), [2, 0, 1, 3, 4]); // [N, B, H, C, K]
    const gate = (name: string): Tensor =>
      transpose(reshape(swapAxes(sigmoid(matmul(x, params[name])), 1, 2), [B, H, T / C, C]), [2, 0, 1, 3]);
    const q = chunks(l2Normalize(splitHeads(silu(matmul(x, params.Wq)), H)));
    const k = chunks(l2Normalize(splitHeads(silu(matmul(x, params.Wk)), H)));
    const v = chunks(splitHeads(silu(matmul(x, params.Wv)), H));
    const theta = mul(gate("Wt"), 1 / C),
      eta = mean(gate("We"), { axes: 3 }),
      alpha = mul(mean(gate("Wa"), { axes: 3 }), 0.1);
    const start = [params.m1, params.m2].map((w) => broadcastTo(expandDims(w, 0), [B, ...w.shape]));
    const scalar = (gate: Tensor): Tensor => expandDims(expandDims(gate, -1), -1);
    const [, out] = scan(
      (
        state: MemoryState,
        chunk: { q: Tensor; k: Tensor; v: Tensor; theta: Tensor; eta: Tensor; alpha: Tensor },
      ): [MemoryState, Tensor] => {
        const inner = (weights: readonly Tensor[]): Tensor =>
          sum(mul(expandDims(chunk.theta, -1), square(sub(memory(weights, chunk.k), chunk.v))));
        const gradients = grad(inner)(state.weights);
        const surprise = state.surprise.map((s, l) => sub(mul(scalar(chunk.eta), s), gradients[l]));
        const weights = state.weights.map((w, l) => add(mul(sub(1, scalar(chunk.alpha)), w), surprise[l]));
        return [{ weights, surprise }, memory(state.weights, chunk.q)];
      },
      { weights: start, surprise: start.map(zerosLike) },
      { q, k, v, theta, eta, alpha },
    );
    const merged = mergeHeads(reshape(transpose(out, [1, 2, 0, 3, 4]), [B, H, T, K]));
    return mean(square(sub(matmul(merged, params.Wo), y)));
  };
  return {
    name: `chunk layer, chunk ${C}`,
    parameters,
    x: golden([B, T, D], 1, 10),
    y: golden([B, T, D], 1, 11),
    loss,
    evaluate: (params, x, y) => withGradients((p) => [loss(p, x, y), {}])(params),
    ...tableOf(CHUNK_TABLE),
  };
}

/** The extents of a per-token layer. */
interface TokenLayerShape {
  readonly B: number;
  readonly T: number;
  readonly D: number;
  readonly H: number;
  readonly miniBatch: number;
  readonly norm: boolean;
}

const SMALL = { B: 2, T: 64, D: 32, H: 2, miniBatch: 16 };
const LAYER = { B: 2, T: 512, D: 128, H: 2, miniBatch: 64 };

const TOKEN_COLUMNS = [
  "loss",
  "dWq",
  "dWk",
  "dWv",
  "dWo",
  "dWt",
  "dWe",
  "dWa",
  "dm1",
  "dm2",
  "dgain",
  "W1",
  "W2",
  "S1",
  "S2",
];

const TOKEN_CASES: Readonly<Record<string, { readonly shape: TokenLayerShape; readonly row: string }>> = {
  "small, b 16, norm": {
    shape: { ...SMALL, norm: true },
    row:
      "1.9003287843 3.307460204e-1 3.032653719e-1 2.882227850e-1 5.029840913e-1 1.135040692e-1 3.590388422e-2 8.856809746e-4 2.534892240e-1 " +
      "4.659848713e-1 4.224305429e-1 15.36363631 8.423036279 1.165945790e-1 1.861121397e-1",
  },
  "small, b 16, no norm": {
    shape: { ...SMALL, norm: false },
    row:
      "1.0141991447 2.544271916e-2 3.841837101e-3 3.563916408e-3 2.325410951e-2 1.399187767e-3 8.408396980e-4 1.139969650e-3 1.744704328e-2 " +
      "3.335155351e-2 - 15.23165971 7.588041941 1.968302152e-2 3.567974235e-2",
  },
  "layer, b 64, norm": {
    shape: { ...LAYER, norm: true },
    row:
      "1.8505685698 9.519576555e-2 2.316677717e-1 3.358523815e-1 5.147863910e-1 1.609763157e-1 4.816838661e-2 2.530216838e-3 4.154671770e-1 " +
      "8.699377502e-1 8.484926522e-1 24.62333413 14.26440756 8.668945305e-2 1.508325041e-1",
  },
};

/** The names of the per-token cases. */
export const TOKEN_CASE_NAMES: readonly string[] = Object.keys(TOKEN_CASES);

/** How a per-token layer computes. */
export interface TokenLayerOptions {
  readonly form: "token loop" | "matmul";
  /** Only for the matmul form. */
  readonly tile?: number;
  readonly checkpoint?: "recompute" | "save";
  /** Another mini-batch than the case's; then the table does not hold. */
  readonly miniBatch?: number;
}

/** A layer with a memory state for every token. */
export function tokenLayer(
  name: string,
  { form, tile, checkpoint, miniBatch: otherMiniBatch }: TokenLayerOptions,
): GoldenLayer {
  const { shape: { B, T, D, H, norm, ...shape }, row } = TOKEN_CASES[name];
  const K = D / H, scale = 1 / Math.sqrt(D), miniBatch = otherMiniBatch ?? shape.miniBatch;
  const projections = ["Wq", "Wk", "Wv", "Wo"].map((
    name,
    i,
  ): [string, GoldenArray] => [name, golden([D, D], scale, 1 + i)]);
  const gates = ["Wt", "We", "Wa"].map((name, i): [string, GoldenArray] => [name, golden([D, H], scale, 5 + i)]);
  const parameters = {
    ...Object.fromEntries([...projections, ...gates]),
    m1: golden([H, K, 4 * K], 1 / Math.sqrt(K), 8),
    m2: golden([H, 4 * K, K], 1 / Math.sqrt(4 * K), 9),
    ...(norm ? { gain: golden([H, K], 0.1, 12) } : {}),
  };
  const run = (params: Readonly<Record<string, Tensor>>, x: Tensor, y: Tensor): [Tensor, Record<string, Tensor>] => {
    const gate = (name: string, bias: number): Tensor => swapAxes(sigmoid(add(matmul(x, params[name]), bias)), 1, 2);
    const sequence = {
      query: l2Normalize(splitHeads(silu(matmul(x, params.Wq)), H)),
      key: l2Normalize(splitHeads(silu(matmul(x, params.Wk)), H)),
      value: splitHeads(silu(matmul(x, params.Wv)), H),
      theta: mul(gate("Wt", 0), 0.1),
      eta: gate("We", 0),
      alpha: gate("Wa", -8),
    };
    const weights = [params.m1, params.m2].map((w) => broadcastTo(expandDims(w, 0), [B, ...w.shape]));
    const state = { weights, surprise: weights.map(zerosLike) };
    const memory = { network: mlpMemory({ width: K, depth: 2, norm }), gains: norm ? [params.gain] : [] };
    const result = form === "matmul"
      ? chunkedMemory(memory, sequence, { state, miniBatch, tile, checkpoint })
      : naiveMemory(memory, sequence, { state, miniBatch });
    const loss = mean(square(sub(matmul(mergeHeads(result.output), params.Wo), y)));
    const { weights: [W1, W2], surprise: [S1, S2] } = result.state;
    return [loss, { W1, W2, S1, S2 }];
  };
  return {
    name: `token layer, ${name}, ${form}`,
    parameters,
    x: golden([B, T, D], 1, 10),
    y: golden([B, T, D], 1, 11),
    loss: (params, x, y) => run(params, x, y)[0],
    evaluate: (params, x, y) => withGradients((p) => run(p, x, y))(params),
    ...tableOf(
      Object.fromEntries(
        row.split(" ").map((text, i) => [TOKEN_COLUMNS[i], text] as const).filter(([, text]) => text !== "-"),
      ),
    ),
  };
}

type Parameters = Readonly<Record<string, Tensor>>;

function withGradients(
  fn: (params: Parameters) => [Tensor, Record<string, Tensor>],
): (params: Parameters) => Record<string, Tensor> {
  return (params) => {
    const [[loss, finals], gradients] = valueAndGrad(fn)(params);
    return {
      loss,
      ...Object.fromEntries(Object.entries(gradients).map(([name, gradient]) => [`d${name}`, gradient])),
      ...finals,
    };
  };
}

/** Numbers and the relative rounding error of their texts: half a unit in the last digit. */
function tableOf(texts: Readonly<Record<string, string>>): Pick<GoldenLayer, "expected" | "digits"> {
  const expected: Record<string, number> = {}, digits: Record<string, number> = {};
  for (const [name, text] of Object.entries(texts)) {
    const [mantissa] = text.split("e");
    expected[name] = Number(text);
    digits[name] = 0.5 * 10 ** -(mantissa.split(".")[1] ?? "").length / Math.abs(Number(mantissa));
  }
  return { expected, digits };
}

/** The mixers of golden_baselines.txt: which options make a layer of the table, and which of its tensors the parameters. */
import { assertEquals } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { mapLeaves } from "../../core/tree.ts";
import { concat, sliceAxis, swapAxes } from "../../ops/mod.ts";
import type { Dimensions } from "../../titans/mixers/mixer_interface.ts";
import { MIXERS } from "../../titans/mixers/registry.ts";
import { defaultsOf, type OptionRecord } from "../../titans/options/option_table.ts";

/** A tensor of golden parameters: one of them, transposed, some of its columns, or several side by side along an axis. */
type Source =
  | string
  | { readonly join: readonly string[]; readonly axis: number }
  | { readonly transpose: string }
  | { readonly columnsOf: string; readonly from: number; readonly count: number };

/** A tree of sources like a mixer's parameters. */
type Sources = Source | readonly Sources[] | { readonly [name: string]: Sources };

/** A mixer of the table. */
export interface GoldenCase {
  /** Its name in the table. */
  readonly golden: string;
  readonly mixer: keyof typeof MIXERS;
  /** What differs from the mixer's defaults; two heads throughout. */
  readonly options: OptionRecord;
  /** Where in a model the layer is, if it matters. */
  readonly place?: Omit<Dimensions, "width">;
  /** The mixer's parameters from those of the table. */
  readonly parameters: { readonly [name: string]: Sources };
}

const columns = (...names: string[]): Source => ({ join: names, axis: 1 });

const ATTENTION = { projection: columns("Wq", "Wk", "Wv"), out: "Wo" };

const DELTA = {
  projection: columns("Wq", "Wk", "Wv"),
  convolution: { taps: { join: ["conv_q", "conv_k", "conv_v"], axis: 0 } },
  rate: "Wb",
  norm: "norm",
  out: "Wo",
} as const;
const TTT = {
  projection: columns("Wq", "Wk", "Wv"),
  rate: "Wlr",
  rateBias: "lrBias",
  tokenRate: "token",
  innerNorm: { gain: "lnGain", bias: "lnBias" },
  norm: { gain: "postGain", bias: "postBias" },
  initial: [{ matrix: "W1", bias: "b1" }],
  out: "Wo",
};

/** A mixer gets its numbers checked by a line here. */
export const CASES: readonly GoldenCase[] = [
  { golden: "attention", mixer: "attention", options: { span: "full", maxLength: 64 }, parameters: ATTENTION },
  {
    golden: "linear",
    mixer: "linear",
    options: { convolution: 0 },
    parameters: { projection: columns("Wq", "Wk", "Wv"), out: "Wo" },
  },
  {
    golden: "linear-norm",
    mixer: "linear",
    options: { convolution: 0, normalizer: false },
    parameters: { projection: columns("Wq", "Wk", "Wv"), norm: "norm", out: "Wo" },
  },
  ...(["rope", "none", "paper"] as const).map((rotation): GoldenCase => ({
    golden: { rope: "retnet", none: "retnet-norope", paper: "retnet-paper" }[rotation],
    mixer: "retnet",
    options: { convolution: 0, retention: "powers", rotation },
    parameters: { projection: columns("Wq", "Wk", "Wv"), gate: "Wg", norm: "norm", out: "Wo" },
  })),
  {
    golden: "gla",
    mixer: "gla",
    options: { convolution: 0, decayRank: 4 },
    parameters: {
      projection: columns("Wq", "Wk", "Wv"),
      decay: { down: "Wa1", up: "Wa2", bias: "ba" },
      gate: "Wg",
      norm: "norm",
      out: "Wo",
    },
  },
  {
    golden: "hgrn2",
    mixer: "hgrn2",
    options: { convolution: 0 },
    place: { block: 1, blocks: 4 },
    parameters: { projection: columns("Wq", "Wf", "Wi"), norm: "norm", out: "Wo" },
  },
  { golden: "swa", mixer: "attention", options: { span: "window", window: 9 }, parameters: ATTENTION },
  {
    golden: "mamba",
    mixer: "mamba",
    options: { stateWidth: 8, stepRank: 2 },
    parameters: {
      projection: "Win",
      convolution: { taps: "conv", bias: "convBias" },
      selection: "Wx",
      step: { weight: "Wdt", bias: "dtBias" },
      logRate: { transpose: "A_log" },
      skip: "skip",
      out: "Wout",
    },
  },
  {
    golden: "mamba2",
    mixer: "mamba2",
    options: { stateWidth: 8 },
    parameters: {
      projection: { columnsOf: "Win", from: 0, count: 80 },
      convolution: { taps: "conv", bias: "convBias" },
      step: { weight: { columnsOf: "Win", from: 80, count: 4 }, bias: "dtBias" },
      logRate: "A_log",
      skip: "skip",
      norm: "norm",
      out: "Wout",
    },
  },
  { golden: "delta", mixer: "deltaNet", options: {}, parameters: DELTA },
  {
    golden: "gated-delta",
    mixer: "gatedDeltaNet",
    options: { keyRatio: 1 },
    parameters: { ...DELTA, decay: { weight: "Wa", bias: "dtBias", logRate: "A_log" }, gate: "Wg" },
  },
  { golden: "ttt-linear", mixer: "tttLinear", options: { convolution: 0 }, parameters: TTT },
  {
    golden: "ttt-linear-gate",
    mixer: "tttLinear",
    options: { backboneGate: true, convolution: 0 },
    parameters: { ...TTT, gate: "Wg" },
  },
  {
    golden: "ttt-mlp",
    mixer: "tttMlp",
    options: { convolution: 0 },
    parameters: { ...TTT, initial: [{ matrix: "W1", bias: "b1" }, { matrix: "W2", bias: "b2" }] },
  },
];

/** A tensor from its source. */
function made(source: Source, golden: Readonly<Record<string, Tensor>>): Tensor {
  if (typeof source === "string") return golden[source];
  if ("transpose" in source) return swapAxes(golden[source.transpose], 0, 1);
  if ("columnsOf" in source) return sliceAxis(golden[source.columnsOf], 1, source.from, source.count);
  return concat(source.join.map((name) => golden[name]), source.axis);
}

function isSource(value: unknown): value is Source {
  return typeof value === "string" ||
    (typeof value === "object" && value !== null && !Array.isArray(value) &&
      ("join" in value || "transpose" in value || "columnsOf" in value));
}

/** What a mixer gives for tokens [B, T, D], with parameters made of those of the table. */
export function mixedBy(
  { mixer, options, place = { block: 0, blocks: 1 }, parameters }: GoldenCase,
  golden: Readonly<Record<string, Tensor>>,
  x: Tensor,
  atStart: boolean,
): Tensor {
  const { [mixer]: { create, options: table } } = MIXERS, [B, , width] = x.shape;
  const layer = create({ ...defaultsOf(table), heads: 2, ...options }, { width, ...place });
  const own = mapLeaves(parameters, isSource, (source) => made(source, golden));
  assertSameShapes(own, layer.parameters(1));
  return layer.forward(own, x, { state: layer.initialState(own, B), atStart }).output;
}

/** That a tree has the parameters of a layer, each of its shape. */
function assertSameShapes(own: unknown, described: unknown): void {
  const shapes = (tree: unknown): unknown =>
    JSON.parse(
      JSON.stringify(
        tree,
        (_, value) => (value && typeof value === "object" && "shape" in value ? value.shape : value),
      ),
    );
  assertEquals(shapes(own), shapes(described));
}

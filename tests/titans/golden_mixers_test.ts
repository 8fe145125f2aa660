/**
 * Mixers whose losses, outputs and gradients are known from independent recurrences in PyTorch: the layers of
 * golden_baselines.txt. A mixer gets its numbers checked by a line in `CASES`.
 */
import { assert, assertEquals } from "@std/assert";
import { valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { mapLeaves } from "../../core/tree.ts";
import { type Device, type DeviceKind, requestDevice } from "../../kernels/mod.ts";
import { concat, mean, sliceAxis, sqrt, square, sub, sum, swapAxes } from "../../ops/mod.ts";
import { MIXERS } from "../../titans/mixers/registry.ts";
import type { Dimensions } from "../../titans/mixers/mixer_interface.ts";
import { defaultsOf, type OptionRecord } from "../../titans/options/option_table.ts";
import { randn } from "../golden_layers.ts";
import { openNative } from "../kernels/native_tests.ts";
import { GOLDENS } from "./golden_baselines.ts";
import { onDevice, reference, relativeError, type Runner, type Value } from "./runners.ts";

const B = 2, T = 37, D = 16;

/** A tensor of golden parameters: one of them, transposed, some of its columns, or several side by side along an axis. */
type Source =
  | string
  | { readonly join: readonly string[]; readonly axis: number }
  | { readonly transpose: string }
  | { readonly columnsOf: string; readonly from: number; readonly count: number };

/** A tree of sources like a mixer's parameters. */
type Sources = Source | readonly Sources[] | { readonly [name: string]: Sources };

interface Case {
  /** The name in the table. */
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

const CASES: readonly Case[] = [
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
  ...(["rope", "none", "paper"] as const).map((rotation): Case => ({
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

/**
 * Loss, outputs, and norms of the gradients in x and in the parameters of the table: the mixer's own are made of these
 * as a part of what is differentiated.
 */
function evaluated({ mixer, options, place = { block: 0, blocks: 1 }, parameters }: Case, atStart: boolean) {
  const { [mixer]: { create, options: table } } = MIXERS;
  const layer = create({ ...defaultsOf(table), heads: 2, ...options }, { width: D, ...place });
  return (golden: Record<string, Tensor>, x: Tensor, target: Tensor): Record<string, Tensor> => {
    const loss = (golden: Record<string, Tensor>, x: Tensor): [Tensor, Tensor] => {
      const own = mapLeaves(parameters, isSource, (source) => made(source, golden));
      assertSameNames(own, layer.parameters(1));
      const { output } = layer.forward(own, x, { state: layer.initialState(own, B), atStart });
      return [mean(square(sub(output, target))), output];
    };
    const [[value, output], [gradients, dx]] = valueAndGrad(loss, { argnums: [0, 1] })(golden, x) as unknown as [
      [Tensor, Tensor],
      [Record<string, Tensor>, Tensor],
    ];
    const norms = Object.entries({ x: dx, ...gradients }).map(([name, g]) => [`d ${name}`, sqrt(sum(square(g)))]);
    return { loss: value, output, ...Object.fromEntries(norms) };
  };
}

/** That a tree has the parameters of a layer, each of its shape. */
function assertSameNames(own: unknown, described: unknown): void {
  const shapes = (tree: unknown): unknown =>
    JSON.parse(
      JSON.stringify(
        tree,
        (_, value) => (value && typeof value === "object" && "shape" in value ? value.shape : value),
      ),
    );
  assertEquals(shapes(own), shapes(described));
}

async function check(
  given: Case,
  run: Runner,
  { tolerance, atStart }: { tolerance: number; atStart: boolean },
): Promise<void> {
  const golden = GOLDENS.get(given.golden)!;
  const x: Value = { shape: [B, T, D], data: randn(B * T * D, 1, 10) };
  const target: Value = { shape: [B, T, D], data: randn(B * T * D, 1, 11) };
  const result = await run(evaluated(given, atStart), [{ ...golden.parameters }, x, target]);
  const y = Array.from(result.output.data);
  const expected: Record<string, number> = {
    ...golden.figures,
    ...Object.fromEntries(Object.entries(golden.gradients).map(([name, norm]) => [`d ${name}`, norm])),
  };
  for (const [name, value] of Object.entries(expected)) {
    const place = name.match(/^y\[(\d+)\]$/);
    const actual = place
      ? y[Number(place[1])]
      : name === "mean"
      ? y.reduce((a, b) => a + b, 0) / y.length
      : name === "norm"
      ? Math.hypot(...y)
      : result[name].data[0];
    // Single outputs and their mean are as exact as the outputs are on the whole.
    const floor = place || name === "mean" ? Math.hypot(...y) / Math.sqrt(y.length) : undefined;
    const error = relativeError([actual], [value], floor);
    assert(error <= tolerance, `${given.golden}: ${name} is ${actual}, not ${value}: off by ${error}`);
  }
  assert(Object.keys(result).every((name) => name === "output" || name in expected), "a parameter has no number");
}

for (const given of CASES) {
  Deno.test(`reference: ${given.golden}: losses, outputs and gradients are those of PyTorch`, async () => {
    // At the start of texts, and after a state that is looked at.
    for (const atStart of [true, false]) await check(given, reference, { tolerance: 1e-8, atStart });
  });
}

/** All cases on a device. */
async function checkAll(device: Device, t: Deno.TestContext): Promise<void> {
  for (const given of CASES) {
    await t.step(given.golden, () => check(given, onDevice(device), { tolerance: 1e-4, atStart: false }));
  }
  device.dispose();
}

for (const kind of ["cpu", "webgpu"] satisfies DeviceKind[]) {
  Deno.test(`${kind}: losses, outputs and gradients of mixers are those of PyTorch`, async (t) => {
    await checkAll(await requestDevice({ kind }), t);
  });
}

Deno.test("native: losses, outputs and gradients of mixers are those of PyTorch", async (t) => {
  await checkAll(await openNative(), t);
});

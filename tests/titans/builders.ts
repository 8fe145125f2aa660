/** Tiny memories and tiny models, and what they are given: what the suites of this folder share. */
import { valueAndGrad } from "../../core/grad.ts";
import { isTensor, type Tensor } from "../../core/graph.ts";
import { flatten, mapLeaves, type MapTree } from "../../core/tree.ts";
import { add, concat, equal, iota, mul, sliceAxis, sum } from "../../ops/mod.ts";
import { chunkedMemory, type ChunkedMemoryOptions } from "../../titans/mixers/titans/chunked_memory.ts";
import { defineConfig, type ModelConfig } from "../../titans/models/config.ts";
import { type GateGranularity, type LayeredSequence, toLayered } from "../../titans/mixers/titans/gates.ts";
import { layeredMemory } from "../../titans/mixers/titans/layered_memory.ts";
import type { Memory, MemoryNetwork, MemorySequence, MemoryState } from "../../titans/mixers/titans/memory_network.ts";
import { readToken } from "../../titans/mixers/titans/memory_decode.ts";
import { findMixer, type MixerName, MIXERS } from "../../titans/mixers/registry.ts";
import { Model, type ModelState, type Observation } from "../../titans/models/model.ts";
import { isValue, noise, prepareReference, reference, type Runner, type Value, type ValuesOf } from "./runners.ts";

/** All that a memory takes, as a tree. */
export interface MemoryInputs<Leaf> {
  readonly sequence: {
    readonly query: Leaf;
    readonly key: Leaf;
    readonly value: Leaf;
    /** One entry for gates a head, else one a matrix. */
    readonly gates: readonly { readonly theta: Leaf; readonly eta: Leaf; readonly alpha: Leaf }[];
  };
  readonly state: { readonly weights: readonly Leaf[]; readonly surprise: readonly Leaf[] };
  readonly gains: readonly Leaf[];
  /** Where the memory forgets to, one matrix a layer; empty: zero. */
  readonly start: readonly Leaf[];
}

/** Numbers between two bounds that look like those of a gate. */
export function gate(shape: readonly number[], seed: number, [low, high]: readonly [number, number]): Value {
  return {
    shape,
    data: Float64Array.from(noise(shape, seed).data, (x) => Math.fround(low + (high - low) / (1 + Math.exp(-2 * x)))),
  };
}

/** Extents of {@link memoryInputs}. */
export interface MemoryExtents {
  readonly T: number;
  readonly B?: number;
  readonly H?: number;
  readonly K?: number;
  /** How fine the gates are; by default a head. */
  readonly granularity?: GateGranularity;
  /** What the memory forgets to; by default zero. */
  readonly forgetTo?: ModelConfig["forgetTo"];
}

/** Inputs of a memory network in the middle of a text: with weights, surprise and gates of everyday size. */
export function memoryInputs(
  { layers, gains }: MemoryNetwork,
  { T, B = 2, H = 2, K = 4, granularity = "head", forgetTo = "zero" }: MemoryExtents,
): MemoryInputs<Value> {
  const matrices = (leading: readonly number[], seed: number): Value[] =>
    layers.map((layer, l) =>
      noise([...leading, layer.in, layer.out], seed + l, layer.vector ? 0.5 : (layer.scale ?? 1) / Math.sqrt(layer.in))
    );
  return {
    sequence: {
      query: noise([B, H, T, K], 1, 0.5),
      key: noise([B, H, T, K], 2, 0.5),
      value: noise([B, H, T, K], 3),
      gates: (granularity === "head" ? layers.slice(0, 1) : layers).map(({ out }, l) => ({
        theta: gate([B, H, T], 4 + 3 * l, [0, 1]),
        eta: gate([B, H, T], 5 + 3 * l, [0, 1]),
        alpha: gate(granularity === "channel" ? [B, H, T, out] : [B, H, T], 6 + 3 * l, [0, 0.3]),
      })),
    },
    state: {
      weights: matrices([B, H], 30),
      surprise: layers.map((layer, l) => noise([B, H, layer.in, layer.out], 40 + l, 0.1)),
    },
    gains: gains.map((shape, i) => noise([H, ...shape], 50 + i, 0.1)),
    start: forgetTo === "start" ? matrices([H], 60) : [],
  };
}

/** What a memory gave. */
export interface MemoryRun {
  readonly output: Tensor;
  readonly state: MemoryState;
}

/** A way to run a memory. */
export type MemoryForm = (
  memory: Memory,
  sequence: MemorySequence | LayeredSequence,
  options: ChunkedMemoryOptions,
) => MemoryRun;

/** Options of a run but for the state. */
export type RunOptions = Omit<ChunkedMemoryOptions, "state">;

/** In matrix products: by the code for gates a head where they are, else by that for gates a matrix. */
export const products: MemoryForm = (memory, sequence, options) =>
  "gates" in sequence ? layeredMemory(memory, sequence, options) : chunkedMemory(memory, sequence, options);

/** Token by token with its own weights, as a reader does it. */
export const reading: MemoryForm = (memory, sequence, { state, miniBatch, strict = false }) => {
  const tokens = toLayered(sequence, memory.network.layers.length), T = sequence.query.shape[2];
  const outputs: Tensor[] = [];
  let current: MemoryState = { ...state, start: state.weights };
  for (let t = 0; t < T; t++) {
    const token = mapLeaves(tokens, isTensor, (x) => sliceAxis(x, 2, t, 1));
    const endsMiniBatch = equal(iota([1], 0), t % miniBatch === miniBatch - 1 ? 0 : 1);
    const next = readToken(memory, token, { state: current, endsMiniBatch, strict });
    outputs.push(next.output);
    current = next.state;
  }
  return { output: concat(outputs, 2), state: { weights: current.weights, surprise: current.surprise } };
};

/** The memory and the sequence of some inputs: with one entry of gates, gates a head. */
export function memoryOf(
  network: MemoryNetwork,
  { gains, start, sequence: { gates, ...rows } }: MemoryInputs<Tensor>,
): [Memory, MemorySequence | LayeredSequence] {
  const isFine = gates.length !== 1 || gates[0].alpha.rank === 4;
  return [
    start.length > 0 ? { network, gains, start } : { network, gains },
    isFine ? { ...rows, gates } : { ...rows, ...gates[0] },
  ];
}

/** Runs a memory on inputs. */
export function runMemory(
  form: MemoryForm,
  network: MemoryNetwork,
  options: RunOptions,
): (inputs: MemoryInputs<Tensor>) => MemoryRun {
  return (inputs) => {
    const { output, state } = form(...memoryOf(network, inputs), { state: inputs.state, ...options });
    return { output, state };
  };
}

/** What {@link evaluateMemory} gives. */
export interface MemoryEvaluation {
  readonly output: Value;
  readonly state: MapTree<MemoryState, Tensor, Value>;
  readonly gradient: MemoryInputs<Value>;
}

/** Outputs, final state, and the gradient of a random functional of both with respect to every input. */
export function evaluateMemory(
  run: Runner,
  memory: (inputs: MemoryInputs<Tensor>) => MemoryRun,
  inputs: MemoryInputs<Value>,
): Promise<MemoryEvaluation> {
  const fn = (
    arg: MemoryInputs<Tensor>,
    weights: readonly Tensor[],
  ): MemoryRun & { gradient: MemoryInputs<Tensor> } => {
    const functional = (arg: MemoryInputs<Tensor>): [Tensor, MemoryRun] => {
      const result = memory(arg), all = [result.output, ...result.state.weights, ...result.state.surprise];
      return [all.map((x, i) => sum(mul(x, weights[i]))).reduce((a, b) => add(a, b)), result];
    };
    const [[, result], gradient] = valueAndGrad(functional)(arg);
    return { ...result, gradient };
  };
  const weights = [inputs.sequence.query, ...inputs.state.weights, ...inputs.state.surprise].map(({ shape }, i) =>
    noise(shape, 70 + i)
  );
  return run(fn, [inputs, weights]);
}

/** A model of everything in twos and fours. */
export const TINY: Partial<ModelConfig> = {
  vocabulary: 11,
  width: 8,
  blocks: 2,
  heads: 2,
  mlpHidden: 12,
  memoryExpansion: 2,
  miniBatch: 4,
  segment: 8,
  window: 6,
  persistentTokens: 2,
  memoryTokens: 3,
  maxLength: 24,
};

/** Options that make other models of a mixer; of mixers that are not here there is one. */
const VARIANTS: Readonly<Record<string, readonly (readonly [string, Partial<ModelConfig>])[]>> = {
  mac: [
    ["mac, causal", { model: "mac", memoryQuery: "causal" }],
    ["mac, previous segment", { model: "mac", memoryQuery: "previous-segment" }],
    ["mac, learned", { model: "mac", memoryQuery: "learned" }],
  ],
  attention: [
    ["attention", { model: "attention" }],
    ["attention, window, shared keys, convolution", {
      model: "attention",
      span: "window",
      keyHeads: 1,
      attentionConvolution: 3,
    }],
  ],
};

/** A model of each mixer that is registered, MAC with each of its queries, attention with both of its spans. */
export const MODELS: readonly (readonly [string, Partial<ModelConfig>])[] = (Object.keys(MIXERS) as MixerName[])
  .flatMap((model) => VARIANTS[model] ?? [[model, { model }] as const]);

/** Those of them that have a memory. */
export const MEMORY_MODELS = MODELS.filter(([, { model }]) => "memoryDepth" in findMixer(model!)!.options);

/** A tiny model whose memory learns and forgets a lot within a few tokens, with parameters that are nowhere zero. */
export function tinyModel(options: Partial<ModelConfig>): { model: Model; params: Value } {
  const model = new Model(defineConfig({ ...TINY, thetaMax: 1, alphaBias: -3, ...options }));
  const { data } = noise([model.layout.size], 3, 0.1);
  const start = model.layout.pack(model.initialize(1));
  return { model, params: { shape: [model.layout.size], data: Float64Array.from(start, (x, i) => x + data[i]) } };
}

/** Token ids [B, T] below `vocabulary`. */
export function tokensOf(B: number, T: number, vocabulary = 11, seed = 1): Value {
  const { data } = noise([B * T], seed);
  return {
    shape: [B, T],
    dtype: "i32",
    data: Int32Array.from(data, (x) => Math.floor(Math.abs(x) * 1000) % vocabulary),
  };
}

/** Columns `start` to `end` of the last axis, such as tokens [B, T]. */
export function cut({ shape, dtype, data }: Value, start: number, end: number): Value {
  const T = shape[shape.length - 1];
  return {
    shape: [...shape.slice(0, -1), end - start],
    dtype,
    data: Float64Array.from(data).filter((_, i) => i % T >= start && i % T < end),
  };
}

/** Logits and state of a model on tokens, after a state if one is given. */
export async function readModel(
  run: Runner,
  model: Model,
  params: Value,
  tokens: Value,
  state?: unknown,
): Promise<{ logits: Value; state: unknown }> {
  const forward: Forward = (flat, tokens, before) => model.forward(model.unflatten(flat), tokens, before);
  const args = [params, tokens, state ? { state } : {}] as unknown as ValuesOf<Parameters<Forward>>;
  return await (run === reference ? preparedFor(model, forward, args)(args) : run(forward, args));
}

type Forward = (
  flat: Tensor,
  tokens: Tensor,
  before: { state?: ModelState },
) => { logits: Tensor; state: ModelState };

type Prepared = (args: ValuesOf<Parameters<Forward>>) => MapTree<ReturnType<Forward>, Tensor, Value>;

/** What the reference traced before, for each model by the shapes of its arguments. */
const prepared = new WeakMap<Model, Map<string, Prepared>>();

function preparedFor(model: Model, forward: Forward, args: ValuesOf<Parameters<Forward>>): Prepared {
  const known = prepared.get(model) ?? new Map<string, Prepared>();
  prepared.set(model, known);
  const { leaves, paths } = flatten(args, isValue);
  const shapes = leaves.map(({ shape, dtype }, i) => `${paths[i]} ${dtype ?? "f32"}[${shape.join()}]`).join(";");
  const found = known.get(shapes) ?? prepareReference(forward, args);
  known.set(shapes, found);
  return found;
}

/** Rows `start` to `end` of logits [B, T, V], counted through the batch. */
export function rowsOf({ shape: [, , V], data }: Value, start: number, end: number): Float64Array {
  return Float64Array.from(data).slice(start * V, end * V);
}

/** Index sets of a model's parameters; projections and gates a head are taken apart. */
export function partsOf(
  { layout, config: { width: D, heads: H, gateGranularity } }: Model,
): { part: string; indices: number[] }[] {
  return layout.entries.flatMap(({ name, offset, size }) => {
    const all = Array.from({ length: size }, (_, i) => offset + i);
    const columns = (total: number, width: number, names: string[]): { part: string; indices: number[] }[] =>
      names.map((part, n) => ({
        part: `${name} ${part}`,
        indices: all.filter((_, i) => Math.floor((i % total) / width) === n),
      }));
    if (/memory\.projection$|attention$/.test(name)) return columns(3 * D, D, ["W_Q", "W_K", "W_V"]);
    if (/memory\.gates$|memory\.gateBias$/.test(name) && gateGranularity === "head") {
      return columns(3 * H, H, ["theta", "eta", "alpha"]);
    }
    return [{ part: name, indices: all }];
  });
}

/** What a function shows while it is traced, block by block and by name: of tensors that stand for tokens. */
export function observing(): {
  readonly observe: (seen: Observation) => void;
  readonly blocks: Record<string, Tensor>[];
} {
  const blocks: Record<string, Tensor>[] = [];
  const observe = ({ block, name, tensor, axes }: Observation): void => {
    if (axes.join() === "batch,head,time") (blocks[block] ??= {})[name] = tensor;
  };
  return { observe, blocks };
}

/** The memory in each block of a state. */
export function memoryStates(state: ModelState): MemoryState[] {
  type Nested = { readonly memory: MemoryState | Nested };
  const within = ({ memory }: Nested): MemoryState => "weights" in memory ? memory : within(memory);
  return state.flatMap((block) => Object.values(block)).map((own) => within(own as Nested));
}

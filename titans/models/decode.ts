/**
 * A model one token at a time, with a state of constant size after every token: what reading and writing carry on, and
 * what memory files hold.
 *
 * Many tokens at once go through the model's parallel form from boundary to boundary; at a boundary either state is
 * made from the other.
 */
import { isTensor, type Tensor } from "../../core/graph.ts";
import { isSpec, type Spec, spec, trace } from "../../core/trace.ts";
import { flatten, mapLeaves, type MapTree } from "../../core/tree.ts";
import { equal, expandDims, matmul, mul, silu, sliceAxis, squeeze } from "../../ops/mod.ts";
import type { LayerConfig } from "../config.ts";
import { type KeysAndValues, mergeHeads } from "../nn/layers.ts";
import type { LmmMixer } from "../mixers/titans/lmm.ts";
import { boundaryOfMacReading, type MacReading, macReadingAtBoundary, macToken } from "../mixers/titans/mac_decode.ts";
import type { MagMixer } from "../mixers/titans/mag.ts";
import type { MalMixer } from "../mixers/titans/mal.ts";
import {
  boundaryOfReading,
  type MemoryLayerReading,
  memoryLayerToken,
  readingAtBoundary,
} from "../mixers/titans/memory_layer.ts";
import type { Place } from "../mixers/titans/memory_decode.ts";
import { gateOutput } from "../mixers/mixer.ts";
import { type BlockState, type Model, type ModelParameters, type ModelState, throughBlocks } from "./model.ts";
import type { StoredTensor } from "./safetensors.ts";
import { advanceWindow, attentionRows, sharedKeys, windowAttention, type WindowState } from "../nn/window_attention.ts";

/** What MAG carries from token to token. */
export interface MagReading {
  /** The state of the memory and of its convolution. */
  readonly memory: MemoryLayerReading;
  /** Keys and values that attention may still look at. */
  readonly window: WindowState;
}

/** What MAL carries from token to token. */
export interface MalReading extends MagReading {
  /** Keys and values of what the memory gave for the persistent tokens, [B, H, P, K]; absent if there are none. */
  readonly persistent?: KeysAndValues;
}

/** The state of a block's mixer after any token: that of the model's kind is there. */
export interface BlockReading {
  /** In a model of kind `lmm`. */
  readonly lmm?: MemoryLayerReading;
  /** In a model of kind `mac`. */
  readonly mac?: MacReading;
  /** In a model of kind `mag`. */
  readonly mag?: MagReading;
  /** In a model of kind `mal`. */
  readonly mal?: MalReading;
}

/** The state of a model after any token, one entry a block. */
export type ModelReading = readonly BlockReading[];

/** A state at a boundary as one that is carried from token to token. */
export function modelReadingAtBoundary(config: LayerConfig, state: ModelState): ModelReading {
  return state.map(({ lmm, mac, mag, mal }): BlockReading => {
    if (lmm) return { lmm: readingAtBoundary(lmm) };
    if (mac) return { mac: macReadingAtBoundary(config, mac) };
    return mag
      ? { mag: { ...mag, memory: readingAtBoundary(mag.memory) } }
      : { mal: { ...mal!, memory: readingAtBoundary(mal!.memory) } };
  });
}

/** A state that is carried from token to token, at a boundary, as one from which the parallel form goes on. */
export function boundaryOfModelReading(state: ModelReading): ModelState {
  return state.map(({ lmm, mac, mag, mal }): BlockState => {
    if (lmm) return { lmm: boundaryOfReading(lmm) };
    if (mac) return { mac: boundaryOfMacReading(mac) };
    return mag
      ? { mag: { ...mag, memory: boundaryOfReading(mag.memory) } }
      : { mal: { ...mal!, memory: boundaryOfReading(mal!.memory) } };
  });
}

/**
 * The token to be read, its place in the interval, and whether it ends its mini-batch and its interval (1 or 0): i32
 * [4].
 */
export function placedToken(config: LayerConfig, interval: number, token: number, tokensRead: number): Int32Array {
  const position = tokensRead % interval;
  return Int32Array.of(
    token,
    position,
    (position + 1) % config.miniBatch === 0 ? 1 : 0,
    position + 1 === interval ? 1 : 0,
  );
}

/**
 * Reads one token.
 * @param params Of the model.
 * @param state Before the token, of one text.
 * @param placed As {@link placedToken} gives it.
 * @returns Logits [1, V] that predict the next token, and the state after this one.
 */
export function readModelToken(
  model: Model,
  params: ModelParameters<Tensor>,
  state: ModelReading,
  placed: Tensor,
): { readonly logits: Tensor; readonly state: ModelReading } {
  const { config } = model;
  const part = (i: number): Tensor => squeeze(sliceAxis(placed, 0, i, 1), 0);
  const place: Place = { position: part(1), endsMiniBatch: equal(part(2), 1), endsInterval: equal(part(3), 1) };
  const after: BlockReading[] = [];
  const logits = throughBlocks(params, expandDims(sliceAxis(placed, 0, 0, 1), 0), ({ lmm, mac, mag, mal }, x, i) => {
    const before = state[i];
    if (lmm) {
      const mixed = lmmToken(config, lmm, x, { state: before.lmm!, place });
      after.push({ lmm: mixed.state });
      return mixed.output;
    }
    if (mac) {
      const mixed = macToken(config, mac, x, { state: before.mac!, place });
      after.push({ mac: mixed.state });
      return mixed.output;
    }
    if (mag) {
      const mixed = magToken(config, mag, x, { state: before.mag!, place });
      after.push({ mag: mixed.state });
      return mixed.output;
    }
    const mixed = malToken(config, mal!, x, { state: before.mal!, place });
    after.push({ mal: mixed.state });
    return mixed.output;
  });
  return { logits: squeeze(logits, 1), state: after };
}

interface TokenOptions<State> {
  readonly state: State;
  readonly place: Place;
}

interface TokenResult<State> {
  readonly output: Tensor;
  readonly state: State;
}

function lmmToken(
  config: LayerConfig,
  params: LmmMixer<Tensor>,
  x: Tensor,
  options: TokenOptions<MemoryLayerReading>,
): TokenResult<MemoryLayerReading> {
  const { output, state } = memoryLayerToken(config, params.memory, x, options);
  return { output: matmul(mul(silu(matmul(x, params.gate)), output), params.out), state };
}

function magToken(
  config: LayerConfig,
  params: MagMixer<Tensor>,
  x: Tensor,
  { state, place }: TokenOptions<MagReading>,
): TokenResult<MagReading> {
  const rows = attentionRows(config.heads, params.attention, x);
  const persistent = params.persistent &&
    sharedKeys(config.heads, params.attention, expandDims(params.persistent, 0), x.shape[0]);
  const y = mergeHeads(windowAttention(rows, { state: state.window, persistent })); // [B, 1, D]
  const memory = memoryLayerToken(config, params.memory, x, { state: state.memory, place });
  const gated = gateOutput(config, { y, gain: params.norm, memory: memory.output });
  return {
    output: matmul(gated, params.out),
    state: { memory: memory.state, window: advanceWindow(state.window, rows, 1) },
  };
}

function malToken(
  config: LayerConfig,
  params: MalMixer<Tensor>,
  x: Tensor,
  { state, place }: TokenOptions<MalReading>,
): TokenResult<MalReading> {
  const memory = memoryLayerToken(config, params.memory, x, { state: state.memory, place });
  const rows = attentionRows(config.heads, params.attention, memory.output);
  const y = mergeHeads(windowAttention(rows, { state: state.window, persistent: state.persistent }));
  return {
    output: matmul(y, params.out),
    state: { ...state, memory: memory.state, window: advanceWindow(state.window, rows, 1) },
  };
}

/** The types of a model's state after any token, for one text. */
export function readingSpecs(model: Model): MapTree<ModelReading, Tensor, Spec> {
  return specsOf(model, (params) => modelReadingAtBoundary(model.config, model.initialState(params, 1)));
}

/** The types of a model's state at a boundary, for `batch` texts. */
export function boundarySpecs(model: Model, batch: number): MapTree<ModelState, Tensor, Spec> {
  return specsOf(model, (params) => model.initialState(params, batch));
}

function specsOf<State>(model: Model, make: (params: ModelParameters<Tensor>) => State): MapTree<State, Tensor, Spec> {
  let specs: MapTree<State, Tensor, Spec> | undefined;
  trace((flat: Tensor) => {
    const state = make(model.unflatten(flat));
    specs = mapLeaves(state, isTensor, (leaf) => spec(leaf.shape, leaf.dtype)) as MapTree<State, Tensor, Spec>;
    return state;
  }, [spec([model.layout.size])]);
  return specs!;
}

/** The leaves of a state by name, such as `blocks.0.mac.memory.memory.weights.1`, in the order of the tree. */
export function namedLeaves<Leaf>(
  state: unknown,
  isLeaf: (value: unknown) => value is Leaf,
): { readonly name: string; readonly leaf: Leaf }[] {
  const { leaves, paths } = flatten(state, isLeaf, "a state");
  return leaves.map((leaf, i) => ({ name: `blocks${paths[i].replace(/\[(\d+)\]/g, ".$1")}`, leaf }));
}

/**
 * What keeps arrays from being those of a state, or undefined: the first that is missing or of another shape, or one
 * too many.
 * @param specs The types of the state's tensors.
 * @param arrays By name.
 */
export function mismatchOf(
  specs: MapTree<ModelReading | ModelState, Tensor, Spec>,
  arrays: Readonly<Record<string, StoredTensor>>,
): string | undefined {
  const unread = new Set(Object.keys(arrays));
  for (const { name, leaf: { shape } } of namedLeaves(specs, isSpec)) {
    if (!unread.delete(name)) return `tensor ${name} is missing`;
    const { data, shape: found } = arrays[name];
    if (!(data instanceof Float32Array) || String(found) !== String(shape)) {
      return `tensor ${name} has shape [${found.join(", ")}], the model needs f32 [${shape.join(", ")}]`;
    }
  }
  const [extra] = unread;
  return extra === undefined ? undefined : `tensor ${extra} is not part of the model's state`;
}

/**
 * The language model: tokens -> embedding -> blocks -> logits, with a state of constant size that lets a sequence be read in pieces.
 *
 *     x <- x + mixer(norm(x));   x <- x + mlp(norm(x))          in each block, norms are RMS norms before, the MLP is SwiGLU
 */
import type { Tensor } from "../core/graph.ts";
import type { MapTree } from "../core/tree.ts";
import { add, gather, matmul, rmsNorm } from "../ops/mod.ts";
import { type LayerConfig, stateInterval, validateConfig } from "./config.ts";
import { type GatedMlp, gatedMlp, gatedMlpParameters } from "./layers.ts";
import { initialLmmState, type LmmMixer, lmmMixer, lmmMixerParameters } from "./lmm.ts";
import { initialMacState, type MacMixer, macMixer, macMixerParameters, type MacState } from "./mac.ts";
import { initialMagState, type MagMixer, magMixer, magMixerParameters, type MagState } from "./mag.ts";
import { initialMalState, type MalMixer, malMixer, malMixerParameters, type MalState } from "./mal.ts";
import type { MemoryLayer, MemoryLayerState } from "./memory_layer.ts";
import { matrix, type NamedArrays, type Parameter, ParameterLayout, table, vector } from "./parameters.ts";

/** Parameters of a block; one of the mixers is there. */
export interface Block<Leaf> {
  /** Gain of the norm before the mixer, [D]. */
  readonly mixerNorm: Leaf;
  /** In a model of kind `lmm`. */
  readonly lmm?: LmmMixer<Leaf>;
  /** In a model of kind `mac`. */
  readonly mac?: MacMixer<Leaf>;
  /** In a model of kind `mag`. */
  readonly mag?: MagMixer<Leaf>;
  /** In a model of kind `mal`. */
  readonly mal?: MalMixer<Leaf>;
  /** Gain of the norm before the MLP, [D]. */
  readonly mlpNorm: Leaf;
  /** The MLP after the mixer. */
  readonly mlp: GatedMlp<Leaf>;
}

/** Parameters of a model. */
export interface ModelParameters<Leaf> {
  /** [V, D] */
  readonly embedding: Leaf;
  /** In the order of the flow. */
  readonly blocks: readonly Block<Leaf>[];
  /** Gain of the last norm, [D]. */
  readonly norm: Leaf;
  /** [D, V] */
  readonly head: Leaf;
}

/** The state of a block's mixer: that of the model's kind is there. */
export interface BlockState {
  /** In a model of kind `lmm`. */
  readonly lmm?: MemoryLayerState;
  /** In a model of kind `mac`. */
  readonly mac?: MacState;
  /** In a model of kind `mag`. */
  readonly mag?: MagState;
  /** In a model of kind `mal`. */
  readonly mal?: MalState;
}

/** The state of a model at a boundary, one entry a block. */
export type ModelState = readonly BlockState[];

/** What a model takes beside parameters and tokens. */
export interface ForwardOptions {
  /** The state before the first token, as an earlier call left it at a boundary; the beginning of a text unless given. */
  readonly state?: ModelState;
  /** Which tokens the memories learn from, [B, T] of ones and zeros; all unless given. */
  readonly store?: Tensor;
  /** Compute logits for this position only: an i32 scalar. */
  readonly position?: Tensor;
}

/** What a model gave. */
export interface ForwardResult {
  /** [B, T, V], or [B, V] where one position was asked for. Row t predicts token t + 1. */
  readonly logits: Tensor;
  /** The state at the last boundary: after `T - T mod interval` tokens. */
  readonly state: ModelState;
}

/** A model: its configuration, the layout of its parameters, and its function. */
export class Model {
  /** Where each parameter lies in the flat vector. */
  readonly layout: ParameterLayout<ModelParameters<Tensor>>;
  /** Tokens between two boundaries at which the state can be carried on. */
  readonly interval: number;

  /**
   * A model of a configuration.
   * @param config Its options; a memory network of your own among them is not part of checkpoints.
   * @throws {ConfigError} if the configuration is not valid.
   */
  constructor(readonly config: LayerConfig) {
    validateConfig(config);
    this.layout = new ParameterLayout<ModelParameters<Tensor>>(modelParameters(config) as MapTree<ModelParameters<Tensor>, Tensor, Parameter>);
    this.interval = stateInterval(config);
  }

  /** First parameters, reproducible by the seed. */
  initialize(seed: number): NamedArrays {
    return this.layout.initialize(seed);
  }

  /** The tree of parameters in a flat vector. */
  unflatten(flat: Tensor): ModelParameters<Tensor> {
    return this.layout.unflatten(flat);
  }

  /** The state at the beginning of `batch` texts. */
  initialState(params: ModelParameters<Tensor>, batch: number): ModelState {
    return params.blocks.map(({ lmm, mac, mag, mal }): BlockState => {
      if (lmm) return { lmm: initialLmmState(lmm, batch) };
      if (mac) return { mac: initialMacState(this.config, mac, batch) };
      return mag ? { mag: initialMagState(this.config, mag, batch) } : { mal: initialMalState(this.config, mal!, batch) };
    });
  }

  /**
   * Reads tokens.
   *
   * Any length works, and pieces chain exactly: give the state that the call before returned, and first the tokens read since its boundary again.
   * @param params As {@link unflatten} gives them.
   * @param tokens i32 [B, T] with T of at least 1; ids outside the vocabulary give NaN.
   */
  forward(params: ModelParameters<Tensor>, tokens: Tensor, options: ForwardOptions = {}): ForwardResult {
    const before = options.state ?? this.initialState(params, tokens.shape[0]);
    const state: BlockState[] = [];
    let x = gather(params.embedding, tokens); // [B, T, D]
    params.blocks.forEach((block, i) => {
      const mixed = this.#mix(block, rmsNorm(x, { gain: block.mixerNorm }), before[i], options.store);
      state.push(mixed.state);
      x = add(x, mixed.output);
      x = add(x, gatedMlp(block.mlp, rmsNorm(x, { gain: block.mlpNorm })));
    });
    if (options.position) x = gather(x, options.position, { axis: 1 }); // [B, D]
    return { logits: matmul(rmsNorm(x, { gain: params.norm }), params.head), state };
  }

  #mix(block: Block<Tensor>, x: Tensor, before: BlockState, store: Tensor | undefined): { readonly output: Tensor; readonly state: BlockState } {
    const { config } = this;
    if (block.lmm) {
      const { output, state } = lmmMixer(config, block.lmm, x, { state: before.lmm!, store });
      return { output, state: { lmm: state } };
    }
    if (block.mac) {
      const { output, state } = macMixer(config, block.mac, x, { state: before.mac!, store });
      return { output, state: { mac: state } };
    }
    if (block.mag) {
      const { output, state } = magMixer(config, block.mag, x, { state: before.mag!, store });
      return { output, state: { mag: state } };
    }
    const { output, state } = malMixer(config, block.mal!, x, { state: before.mal!, store });
    return { output, state: { mal: state } };
  }
}

/** Describes the parameters of a model. */
export function modelParameters(config: LayerConfig): ModelParameters<Parameter> {
  const { vocabulary: V, width: D, blocks, mlpHidden } = config;
  // What blocks add to the residual stream starts small, so that its size does not grow with their number.
  const scale = 1 / Math.sqrt(2 * blocks);
  return {
    embedding: table([V, D], 1),
    blocks: Array.from({ length: blocks }, () => ({
      mixerNorm: vector([D], 1),
      ...mixerParameters(config, scale),
      mlpNorm: vector([D], 1),
      mlp: gatedMlpParameters(D, mlpHidden, scale),
    })),
    norm: vector([D], 1),
    head: matrix([D, V], 0.5),
  };
}

function mixerParameters(config: LayerConfig, scale: number): Pick<Block<Parameter>, "lmm" | "mac" | "mag" | "mal"> {
  switch (config.model) {
    case "lmm":
      return { lmm: lmmMixerParameters(config, scale) };
    case "mac":
      return { mac: macMixerParameters(config, scale) };
    case "mag":
      return { mag: magMixerParameters(config, scale) };
    case "mal":
      return { mal: malMixerParameters(config, scale) };
  }
}

/** The memory layer of each block. */
export function memoryLayers<Leaf>(params: ModelParameters<Leaf>): MemoryLayer<Leaf>[] {
  return params.blocks.map(({ lmm, mac, mag, mal }) => (lmm ?? mac ?? mag ?? mal!).memory);
}

/** The memory of each block: weights and surprise. */
export function memoryStates(state: ModelState): MemoryLayerState["memory"][] {
  return state.map(({ lmm, mac, mag, mal }) => (lmm ?? (mac ?? mag ?? mal!).memory).memory);
}

/**
 * The language model: tokens -> embedding -> blocks -> logits, with a state of constant size that lets a sequence be
 * read in pieces.
 *
 *     x <- x + mixer(norm(x));   x <- x + mlp(norm(x))          in each block, norms are RMS norms before, the MLP is SwiGLU
 */
import type { Tensor } from "../../core/graph.ts";
import { showAsText } from "../../core/inspect.ts";
import { optionNames } from "../../core/options.ts";
import type { MapTree } from "../../core/tree.ts";
import { add, gather, matmul, rmsNorm } from "../../ops/mod.ts";
import { checkLayerConfig, type LayerConfig, type ModelConfig, stateInterval, validateConfig } from "../config.ts";
import { checkNames, ConfigError } from "../errors.ts";
import { type GatedMlp, gatedMlp, gatedMlpParameters } from "../nn/layers.ts";
import { initialLmmState, type LmmMixer, lmmMixer, lmmMixerParameters } from "../mixers/titans/lmm.ts";
import { initialMacState, type MacMixer, macMixer, macMixerParameters, type MacState } from "../mixers/titans/mac.ts";
import { initialMagState, type MagMixer, magMixer, magMixerParameters, type MagState } from "../mixers/titans/mag.ts";
import { initialMalState, type MalMixer, malMixer, malMixerParameters, type MalState } from "../mixers/titans/mal.ts";
import type { MemoryLayer, MemoryLayerState } from "../mixers/titans/memory_layer.ts";
import type { MixerOptions, MixerResult } from "../mixers/mixer.ts";
import { matrix, type NamedArrays, type Parameter, ParameterLayout, table, vector } from "../nn/parameters.ts";
import type { MemoryTrace } from "../mixers/titans/trace.ts";

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
  /** [V, D], or of real-valued tokens the linear map [features, D]. */
  readonly embedding: Leaf;
  /** In the order of the flow. */
  readonly blocks: readonly Block<Leaf>[];
  /** Gain of the last norm, [D]. */
  readonly norm: Leaf;
  /** [D, V], or [D, outputs] */
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
  /**
   * The state before the first token, as an earlier call left it at a boundary; the beginning of a text unless given.
   */
  readonly state?: ModelState;
  /** Which tokens the memories learn from, [B, T] of ones and zeros; all unless given. */
  readonly store?: Tensor;
  /** Compute logits for this position only: an i32 scalar. */
  readonly position?: Tensor;
  /**
   * Whether to say what the memories do at each token: logits and state stay what they are, and the memories run once
   * more.
   */
  readonly trace?: boolean;
  /**
   * Hears, while the function is traced, of the tensors between the model's parts, in the order of the flow: what each
   * mixer takes and gives, [B, T, D].
   */
  readonly watch?: (name: string, x: Tensor) => void;
}

const FORWARD_OPTIONS = optionNames<ForwardOptions>({
  state: true,
  store: true,
  position: true,
  trace: true,
  watch: true,
});

/** What a model gave. */
export interface ForwardResult {
  /** [B, T, V or outputs], or without T where one position was asked for. In a language model row t predicts token t + 1. */
  readonly logits: Tensor;
  /** The state at the last boundary: after `T - T mod interval` tokens. */
  readonly state: ModelState;
  /**
   * If it was asked for, what the memory of each block did at each of the T tokens (in `mag` and `mal` the persistent
   * tokens read before them are left out).
   */
  readonly trace?: readonly MemoryTrace[];
}

// What an index in a kernel can reach.
const MOST_PARAMETERS = 2 ** 31 - 1;

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
    checkLayerConfig(config);
    validateConfig(config);
    this.layout = new ParameterLayout<ModelParameters<Tensor>>(
      modelParameters(config) as MapTree<ModelParameters<Tensor>, Tensor, Parameter>,
    );
    if (this.layout.size > MOST_PARAMETERS) {
      const count = this.layout.size.toLocaleString("en"), most = MOST_PARAMETERS.toLocaleString("en");
      throw new ConfigError(
        `Cannot use width ${config.width}: the model would have ${count} parameters, and ${most} fit in one vector; make it smaller`,
        "width",
      );
    }
    this.interval = stateInterval(config);
  }

  /** Kind and size, such as `lmm model: 2 blocks of width 64, 202,316 parameters`. */
  toString(): string {
    const { model, blocks, width } = this.config;
    return `${model} model: ${blocks} block${blocks === 1 ? "" : "s"} of width ${width}, ${
      this.layout.parameterCount.toLocaleString("en")
    } parameters`;
  }

  /** Its options. */
  toJSON(): ModelConfig {
    const { network: _, ...config } = this.config;
    return config;
  }

  static {
    showAsText(this);
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
      return mag
        ? { mag: initialMagState(this.config, mag, batch) }
        : { mal: initialMalState(this.config, mal!, batch) };
    });
  }

  /**
   * Reads tokens.
   *
   * Any length works, and pieces chain exactly: give the state that the call before returned, and first the tokens read
   * since its boundary again.
   * @param params As {@link unflatten} gives them.
   * @param tokens i32 [B, T] with T of at least 1; ids outside the vocabulary give NaN. Real-valued: [B, T, features].
   */
  forward(params: ModelParameters<Tensor>, tokens: Tensor, options: ForwardOptions = {}): ForwardResult {
    checkNames("forward", options, FORWARD_OPTIONS);
    const before = options.state ?? this.initialState(params, tokens.shape[0]);
    const state: BlockState[] = [], traces: MemoryTrace[] = [];
    const mix = (block: Block<Tensor>, x: Tensor, i: number): Tensor => {
      const mixed = this.#mix(block, x, before[i], options);
      state.push(mixed.state);
      options.watch?.(`blocks.${i}.input`, x);
      if (mixed.trace) traces.push(mixed.trace);
      options.watch?.(`blocks.${i}.mixer`, mixed.output);
      return mixed.output;
    };
    const logits = throughBlocks(params, tokens, mix, options.position);
    return { logits, state, ...(options.trace ? { trace: traces } : {}) };
  }

  #mix(
    { lmm, mac, mag, mal }: Block<Tensor>,
    x: Tensor,
    before: BlockState,
    { store, trace }: ForwardOptions,
  ): MixerResult<BlockState> {
    const { config } = this;
    const options = <State>(state: State): MixerOptions<State> => ({ state, store, trace });
    if (lmm) {
      const result = lmmMixer(config, lmm, x, options(before.lmm!));
      return { ...result, state: { lmm: result.state } };
    }
    if (mac) {
      const result = macMixer(config, mac, x, options(before.mac!));
      return { ...result, state: { mac: result.state } };
    }
    if (mag) {
      const result = magMixer(config, mag, x, options(before.mag!));
      return { ...result, state: { mag: result.state } };
    }
    const result = malMixer(config, mal!, x, options(before.mal!));
    return { ...result, state: { mal: result.state } };
  }
}

/**
 * The model around its mixers.
 * @param params Of the model.
 * @param tokens i32 [B, T], or [B, T, features].
 * @param mix Mixes the tokens of block i, [B, T, D].
 * @param position Logits of this position only: an i32 scalar.
 * @returns Logits [B, T, V], or [B, V] of one position.
 */
export function throughBlocks(
  params: ModelParameters<Tensor>,
  tokens: Tensor,
  mix: (block: Block<Tensor>, x: Tensor, i: number) => Tensor,
  position?: Tensor,
): Tensor {
  let x = tokens.dtype === "i32" ? gather(params.embedding, tokens) : matmul(tokens, params.embedding); // [B, T, D]
  params.blocks.forEach((block, i) => {
    x = add(x, mix(block, rmsNorm(x, { gain: block.mixerNorm }), i));
    x = add(x, gatedMlp(block.mlp, rmsNorm(x, { gain: block.mlpNorm })));
  });
  if (position) x = gather(x, position, { axis: 1 }); // [B, D]
  return matmul(rmsNorm(x, { gain: params.norm }), params.head);
}

/** Describes the parameters of a model. */
export function modelParameters(config: LayerConfig): ModelParameters<Parameter> {
  checkLayerConfig(config);
  const { vocabulary: V, features, outputs, width: D, blocks, mlpHidden } = config;
  // What blocks add to the residual stream starts small, so that its size does not grow with their number.
  const scale = 1 / Math.sqrt(2 * blocks);
  return {
    embedding: features > 0 ? matrix([features, D]) : table([V, D], 1),
    blocks: Array.from({ length: blocks }, () => ({
      mixerNorm: vector([D], 1),
      ...mixerParameters(config, scale),
      mlpNorm: vector([D], 1),
      mlp: gatedMlpParameters(D, mlpHidden, scale),
    })),
    norm: vector([D], 1),
    head: matrix([D, outputs || V], 0.5),
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

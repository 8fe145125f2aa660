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
import { add, gather, matmul, rmsNorm, squeeze } from "../../ops/mod.ts";
import { type ModelConfig, validateConfig } from "./config.ts";
import { checkNames, ConfigError } from "../errors.ts";
import type { AnyMixer, Axis, Metric, Mixed, Observe } from "../mixers/mixer_interface.ts";
import { gatedMlp } from "../nn/layers.ts";
import { type NamedArrays, type Parameter, ParameterLayout, type Run } from "../nn/parameters.ts";
import { type BlockLayer, blockLayers, describeMixers } from "./blocks.ts";
import { type Block, type ModelParameters, modelParameters } from "./model_parameters.ts";
import {
  firstMemory,
  type RecurrentMemory,
  recurrentMemoryOf,
  type RecurrentStack,
  type SteppedStack,
  throughSegments,
  throughToken,
} from "./recurrent_memory.ts";
import { checkStacked, elementOf, runsOf, throughStack } from "./stack.ts";

/** The state of a block's mixer, under its name. */
export type BlockState = Readonly<Record<string, unknown>>;

/** The state of a model, one entry a block, and one more for a recurrent memory. */
export type ModelState = readonly BlockState[];

/** A tensor seen while a model is traced. */
export interface Observation {
  /** Which block it is of, from 0. */
  readonly block: number;
  /** `input` and `mixer` for what a block's mixer takes and gives, else as the mixer calls it, such as `surprise`. */
  readonly name: string;
  /** Where it is, such as `blocks.0.lmm.surprise`. */
  readonly path: string;
  /** The tensor. */
  readonly tensor: Tensor;
  /** What its axes are. */
  readonly axes: readonly Axis[];
}

/** Options of a model's forward pass. */
export interface ForwardOptions {
  /**
   * The state before the first token, as an earlier call left it at a boundary. Default: the beginning of a text.
   */
  readonly state?: ModelState;
  /** Which tokens the memories learn from, [B, T] of ones and zeros. Default: all. */
  readonly update?: Tensor;
  /** Compute logits for this position only: an i32 scalar. */
  readonly position?: Tensor;
  /**
   * Is called, while the function is traced, with the tensors between the model's parts and with what its mixers
   * observe, in the order of the flow. Logits and state stay what they are; memories run once more.
   */
  readonly observe?: (seen: Observation) => void;
}

const FORWARD_OPTIONS = optionNames<ForwardOptions>({ state: true, update: true, position: true, observe: true });

/** What a model gave. */
export interface ForwardResult {
  /** [B, T, V or outputs], or without T where one position was asked for. In a language model row t predicts token t + 1. */
  readonly logits: Tensor;
  /** The state at the last boundary: after `T - T mod interval` tokens. */
  readonly state: ModelState;
}

/** Options of {@link Model.step}. */
export interface ModelStep {
  /** The state before the token, as {@link Model.stepState} or a step before gave it. */
  readonly state: ModelState;
  /** Tokens read before this one since the text began: an i32 scalar, or one per text, [B, 1, 1, 1]. */
  readonly position: Tensor;
}

// What an index in a kernel can reach.
const MOST_PARAMETERS = 2 ** 31 - 1;

/** A model: its configuration, the layout of its parameters, and its function. */
export class Model {
  /** The layers of its blocks. */
  readonly layers: readonly BlockLayer[];
  /**
   * Which blocks are stacked, each run one element of `blocks` in the tree of parameters: see `stackBlocks`.
   * @internal
   */
  readonly runs: readonly Run[];
  /** The position of each parameter in the flat vector. */
  readonly layout: ParameterLayout<ModelParameters<Tensor>>;
  /** Tokens between two boundaries at which the state can be carried on. */
  readonly interval: number;
  /** Tokens that a text may have; infinite unless a mixer sets a bound. */
  readonly maxLength: number;
  readonly #memory: RecurrentMemory | undefined;

  /**
   * A model of a configuration.
   * @param config Its options.
   * @throws {ConfigError} if the configuration is not valid.
   */
  constructor(readonly config: ModelConfig) {
    validateConfig(config);
    this.layers = blockLayers(config);
    this.runs = runsOf(this.layers, config.stackBlocks);
    this.layout = new ParameterLayout<ModelParameters<Tensor>>(
      modelParameters(config, this.layers) as MapTree<ModelParameters<Tensor>, Tensor, Parameter>,
      { list: "blocks", runs: this.runs },
    );
    if (this.layout.size > MOST_PARAMETERS) {
      const count = this.layout.size.toLocaleString("en"), most = MOST_PARAMETERS.toLocaleString("en");
      throw new ConfigError(
        `Cannot use width ${config.width}: the model would have ${count} parameters, and ${most} fit in one vector; make it smaller`,
        "width",
      );
    }
    const layers = this.layers.map(({ layer }) => layer);
    this.#memory = recurrentMemoryOf(config);
    this.interval = this.#memory?.segment ?? layers.map(({ interval }) => interval).reduce(leastCommonMultiple);
    this.maxLength = this.#memory ? Infinity : Math.min(...layers.map(({ maxLength = Infinity }) => maxLength));
  }

  /** Kind and size, such as `lmm model: 2 blocks of width 64, 202,316 parameters`. */
  toString(): string {
    const blocks = this.layers.length, { width } = this.config;
    return `${describeMixers(this.config)} model: ${blocks} block${blocks === 1 ? "" : "s"} of width ${width}, ${
      this.layout.parameterCount.toLocaleString("en")
    } parameters`;
  }

  /** Its options. */
  toJSON(): ModelConfig {
    return this.config;
  }

  static {
    showAsText(this);
  }

  /** The mixers in its blocks, each once. */
  get mixers(): readonly AnyMixer[] {
    return [...new Set(this.layers.map(({ mixer }) => mixer))];
  }

  /** What validation reports of its mixers, by name. */
  get metrics(): Readonly<Record<string, Metric>> {
    return Object.assign({}, ...this.mixers.map(({ metrics }) => metrics));
  }

  /** First parameters, reproducible by the seed. */
  initialize(seed: number): NamedArrays {
    return this.layout.initialize(seed);
  }

  /** The tree of parameters in a flat vector. */
  unflatten(flat: Tensor): ModelParameters<Tensor> {
    return this.layout.unflatten(flat);
  }

  /** The parameters of each block. */
  blockParameters(params: ModelParameters<Tensor>): Block<Tensor>[] {
    return this.runs.flatMap(({ count }, run) => {
      const block = params.blocks[run];
      return count === 1 ? [block] : Array.from({ length: count }, (_, i) => elementOf(block, i));
    });
  }

  /** The state at the beginning of `batch` texts. */
  initialState(params: ModelParameters<Tensor>, batch: number): ModelState {
    const blocks = this.blockParameters(params);
    const states = this.layers.map(({ mixer: { name }, layer }, i): BlockState => ({
      [name]: layer.initialState(blocks[i][name], batch),
    }));
    return params.recurrent ? withMemory(states, firstMemory(params.recurrent, batch)) : states;
  }

  /** A state at a boundary as {@link step} takes it. */
  stepState(state: ModelState): ModelState {
    const blocks = this.layers.map(({ mixer: { name }, layer }, i): BlockState => ({
      [name]: layer.stepState ? layer.stepState(state[i][name]) : state[i][name],
    }));
    return [...blocks, ...state.slice(blocks.length)];
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
    const x = this.#embed(params, tokens), { position } = options;
    const read = this.#memory ? this.#inSegments(this.#memory, params, x, options) : this.#through(params, x, options);
    return { logits: this.#logits(params, read.x, position), state: read.state };
  }

  /** Takes rows [B, T, D] through all blocks. */
  #through(
    params: ModelParameters<Tensor>,
    start: Tensor,
    { observe, state: before, update }: ForwardOptions,
  ): { readonly x: Tensor; readonly state: ModelState } {
    const states: BlockState[] = [];
    let x = start;
    this.runs.forEach((run, r) => {
      const { first, count } = run, block = params.blocks[r], { name } = this.layers[first].mixer;
      const observeBlock = observe && ((i: number): Observe => observer(observe, first + i, name));
      const read = (block: Block<Tensor>, x: Tensor, context: ReadContext): Read =>
        this.#read(first, block, x, { ...context, update });
      if (count === 1) {
        const after = read(block, x, { before: before?.[first], see: observeBlock?.(0) });
        x = after.x;
        states.push(after.state);
        return;
      }
      const after = throughStack<Block<Tensor>, BlockState>(x, {
        block,
        count,
        before: before?.slice(first, first + count),
        rematerialize: this.config.checkpoint,
        observe: observeBlock,
        read,
      });
      checkStacked(this.layers[first], run);
      x = after.x;
      states.push(...after.states);
    });
    return { x, state: states };
  }

  /** The same in segments, with a recurrent memory; what blocks observe within segments is not reported. */
  #inSegments(
    memory: RecurrentMemory,
    params: ModelParameters<Tensor>,
    x: Tensor,
    { state, update }: ForwardOptions,
  ): { readonly x: Tensor; readonly state: ModelState } {
    const before = state ?? this.initialState(params, x.shape[0]);
    const stack: RecurrentStack = {
      read: (rows, update) => this.#through(params, rows, { update }).x,
      norm: (rows) => rmsNorm(rows, { gain: params.norm }),
    };
    const after = throughSegments(memory, stack, x, {
      memory: memoryOf(before),
      update,
      rematerialize: this.config.checkpoint,
    });
    return { x: after.x, state: withMemory(this.#blocksOf(before), after.memory) };
  }

  /** The states of the blocks alone. */
  #blocksOf(state: ModelState): ModelState {
    return state.slice(0, this.layers.length);
  }

  /** Takes tokens [B, T, D] through block `i`. */
  #read(i: number, block: Block<Tensor>, x: Tensor, { before, update, see }: ReadContext): Read {
    const { mixer: { name }, layer } = this.layers[i];
    return throughBlock(block, x, name, (normed) => {
      see?.("input", normed, TOKENS);
      const state = before ? before[name] : layer.initialState(block[name], x.shape[0]);
      const mixed = layer.forward(block[name], normed, { state, atStart: !before, update, observe: see });
      see?.("mixer", mixed.output, TOKENS);
      return mixed;
    });
  }

  /**
   * Reads one token of each text, for about the cost of one.
   * @param params As {@link unflatten} gives them.
   * @param tokens i32 [B, 1].
   * @returns Logits [B, V] that predict the next token, and the state after this one.
   */
  step(params: ModelParameters<Tensor>, tokens: Tensor, { state: before, position }: ModelStep): ForwardResult {
    const x = this.#embed(params, tokens), memory = this.#memory;
    if (!memory) {
      const after = this.#stepThrough(params, x, before, position);
      return { logits: squeeze(this.#logits(params, after.x), 1), state: after.state };
    }
    const stack: SteppedStack<ModelState> = {
      read: (rows, state) => this.#through(params, rows, { state }),
      step: (row, state, place) => this.#stepThrough(params, row, state, place),
      norm: (rows) => rmsNorm(rows, { gain: params.norm }),
    };
    const carried = { blocks: this.#blocksOf(before), memory: memoryOf(before), position };
    const { x: out, state } = throughToken(memory, stack, x, carried);
    return { logits: squeeze(this.#logits(params, out), 1), state: withMemory(state.blocks, state.memory) };
  }

  /** Takes one row [B, 1, D] through all blocks. */
  #stepThrough(
    params: ModelParameters<Tensor>,
    start: Tensor,
    before: ModelState,
    position: Tensor,
  ): { readonly x: Tensor; readonly state: ModelState } {
    const state: BlockState[] = [];
    let x = start;
    this.blockParameters(params).forEach((block, i) => {
      const { mixer: { name }, layer } = this.layers[i], own = before[i][name];
      const after = throughBlock(
        block,
        x,
        name,
        (normed) =>
          layer.step
            ? layer.step(block[name], normed, { state: own, position })
            : layer.forward(block[name], normed, { state: own }),
      );
      x = after.x;
      state.push(after.state);
    });
    return { x, state };
  }

  /** Tokens as vectors, [B, T, D]. */
  #embed({ embedding }: ModelParameters<Tensor>, tokens: Tensor): Tensor {
    return tokens.dtype === "i32" ? gather(embedding, tokens) : matmul(tokens, embedding);
  }

  #logits({ norm, head }: ModelParameters<Tensor>, x: Tensor, position?: Tensor): Tensor {
    const rows = position ? gather(x, position, { axis: 1 }) : x; // [B, T, D] or [B, D]
    return matmul(rmsNorm(rows, { gain: norm }), head);
  }
}

/** A model's state with a recurrent memory [B, M, D], as an entry after those of the blocks. */
function withMemory(blocks: ModelState, memory: Tensor): ModelState {
  return [...blocks, { recurrent: { memory } }];
}

function memoryOf(state: ModelState): Tensor {
  return (state[state.length - 1].recurrent as { readonly memory: Tensor }).memory;
}

/** What reading tokens through a block takes. */
interface ReadContext {
  /** The state before. Default: the initial one. */
  readonly before?: BlockState;
  readonly update?: Tensor;
  readonly see?: Observe;
}

interface Read {
  readonly x: Tensor;
  readonly state: BlockState;
}

/** The axes of a tensor of tokens. */
const TOKENS: readonly Axis[] = ["batch", "time", "channel"];

/** Receives what the mixer of a block observes, its inputs and its outputs. */
function observer(observe: (seen: Observation) => void, block: number, mixer: string): Observe {
  return (name, tensor, axes) => {
    const within = name === "input" || name === "mixer" ? name : `${mixer}.${name}`;
    observe({ block, name, path: `blocks.${block}.${within}`, tensor, axes });
  };
}

/**
 * Tokens through a block.
 * @param x [B, T, D]
 * @param name Of its mixer.
 * @param mix Mixes the normalised tokens.
 */
export function throughBlock(
  block: Block<Tensor>,
  x: Tensor,
  name: string,
  mix: (normed: Tensor) => Mixed<unknown>,
): Read {
  const { output, state } = mix(rmsNorm(x, { gain: block.mixerNorm }));
  const mixed = add(x, output);
  return { x: add(mixed, gatedMlp(block.mlp, rmsNorm(mixed, { gain: block.mlpNorm }))), state: { [name]: state } };
}

function leastCommonMultiple(a: number, b: number): number {
  const divisor = (a: number, b: number): number => b === 0 ? a : divisor(b, a % b);
  return a / divisor(a, b) * b;
}

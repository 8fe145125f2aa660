/**
 * What a token mixer is: a value with a name, a table of options, and a function that makes a layer of them. Anything
 * that mixes information along time (a memory, attention, a recurrence) is a mixer, whether built-in or your own.
 *
 * A layer has two forms that give the same numbers: `forward` over many tokens at once, and `step` over one. Both take
 * and give the same type of state, of constant size.
 */
import type { Tensor } from "../../core/graph.ts";
import type { MapTree } from "../../core/tree.ts";
import type { Parameter } from "../nn/parameters.ts";
import { ConfigError } from "../errors.ts";
import type { OptionsOf, OptionTable, OptionValue } from "../options/option_table.ts";

/** What a layer knows about the model that contains it. */
export interface Dimensions {
  /** Width of the residual stream, D. */
  readonly width: number;
  /** Which block it belongs to, from 0. */
  readonly block: number;
  /** How many blocks there are. */
  readonly blocks: number;
}

/** The meaning of an axis of an observed tensor. */
export type Axis = "batch" | "head" | "time" | "channel";

/** Called during tracing with each tensor that can be inspected.
 * @param name What it is, such as `surprise`.
 * @param tensor The tensor.
 * @param axes What its axes are: `["batch", "head", "time"]` of a figure at each token, which inspectors show.
 */
export type Observe = (name: string, tensor: Tensor, axes: readonly Axis[]) => void;

/**
 * A figure that validation reports of what a mixer observes. `mean`: over tokens, heads and blocks, of tensors with a
 * time axis. `norm`: the root mean square over texts of the Euclidean norm of all tensors of that name, in all blocks
 * together.
 */
export interface Metric {
  /** The name under which it is observed. */
  readonly of: string;
  /** How many numbers become one. */
  readonly as: "mean" | "norm";
}

/** Options of {@link MixerLayer.forward}. */
export interface ForwardContext<State> {
  /** The state before the first token, at a boundary. */
  readonly state: State;
  /** Whether every text begins with the first token, so that the state is the initial one: attention need not look. */
  readonly atStart?: boolean;
  /** Which tokens memories learn from, [B, T] of ones and zeros. Default: all. Mixers without a memory ignore it. */
  readonly update?: Tensor;
  /** Receives tensors for inspection; only set during inspection, since it can cost an extra pass. */
  readonly observe?: Observe;
}

/** Options of {@link MixerLayer.step}. */
export interface StepContext<State> {
  /** The state before the token. */
  readonly state: State;
  /**
   * Tokens read before this one since the text began: an i32 scalar, or one per text, [B, 1, 1, 1], which broadcasts
   * against a state [B, H, rows, columns].
   */
  readonly position: Tensor;
}

/** What a layer gives. */
export interface Mixed<State> {
  /** [B, T, D] */
  readonly output: Tensor;
  /** After `T - T mod interval` tokens, or after the one. */
  readonly state: State;
}

/** The tensors of described parameters. */
export type Tensors<Described> = MapTree<Described, Parameter, Tensor>;

/** A mixer with its options, in a block of a model. `Described` is the tree of its parameters' descriptions. */
export interface MixerLayer<Described = unknown, State = unknown> {
  /** Tokens between two boundaries, where `forward` can take a sequence up; 1 where it can anywhere. */
  readonly interval: number;
  /** Tokens that a text may have. Default: any number. */
  readonly maxLength?: number;
  /**
   * Tokens that are computed together, counted from the first on: where one is not finite, earlier ones of the same
   * group may not be either, since no weight of zero makes NaN vanish. Default: the whole sequence.
   */
  readonly together?: number;
  /** Describes the parameters; `scale` shrinks what the layer adds to the residual stream at the start. */
  parameters(scale: number): Described;
  /** The state before the first token of `batch` texts. Every tensor is f32 and has the leading axis B. */
  initialState(params: Tensors<Described>, batch: number): State;
  /** Mixes tokens [B, T, D], any T of at least 1, from a boundary on. */
  forward(params: Tensors<Described>, x: Tensor, context: ForwardContext<State>): Mixed<State>;
  /**
   * A state at a boundary with what `step` keeps beside, known there: partial sums, rows of the interval. States of
   * `forward` need not have it, so that streams do not carry it. Default: the state itself.
   */
  stepState?(state: State): State;
  /** Mixes one token [B, 1, D], anywhere. Default: {@link forward}, which requires an interval of 1. */
  step?(params: Tensors<Described>, x: Tensor, context: StepContext<State>): Mixed<State>;
}

/** An option to change: to a value smaller than the one that it has, or to a certain one. */
export type Remedy =
  & {
    /** Its name. */
    readonly option: string;
  }
  & ({
    /** The value that it has. */
    readonly smallerThan: number;
  } | {
    /** The value to give it. */
    readonly value: OptionValue;
  });

/** A token mixer. */
export interface Mixer<Table extends OptionTable = OptionTable, Described = unknown, State = unknown> {
  /** What checkpoints and flags call it. */
  readonly name: string;
  /** One line for help texts. */
  readonly summary: string;
  /** The arXiv identifier of the paper that it is from, such as `2501.00663`. */
  readonly paper?: string;
  /** Its options. */
  readonly options: Table;
  /** What validation reports of it, by name. */
  readonly metrics?: Readonly<Record<string, Metric>>;
  /** Names of tensors in the states of older files, and what they are called now. */
  readonly renamed?: Readonly<Record<string, string>>;
  /** Makes a layer. @throws {ConfigError} if options are at odds with each other or with the dimensions. */
  create(options: OptionsOf<Table>, dimensions: Dimensions): MixerLayer<Described, State>;
  /** Options to change where numbers overflow before the first update. */
  remedies?(options: OptionsOf<Table>): readonly Remedy[];
  /** Its name, so that records with mixers in them are stored with their names. */
  toJSON(): string;
}

/** A mixer of any options, parameters and state, as registries and models hold it. */
export interface AnyMixer extends Omit<Mixer, "create" | "remedies"> {
  /** Makes a layer. */
  // deno-lint-ignore no-explicit-any -- what a mixer takes is what its own table gave, and a layer what it gave itself
  create(options: any, dimensions: Dimensions): MixerLayer<any, any>;
  /** Options to change where numbers overflow. */
  // deno-lint-ignore no-explicit-any -- as above
  remedies?(options: any): readonly Remedy[];
}

/** The mixer of a block: a built-in one by name, or one of your own as a value, and options that are its own. */
export interface MixerSpec {
  /** The mixer, its name, or that of a model whose blocks are equal, such as `swa`. */
  readonly mixer: string | AnyMixer;
  /** Options of the mixer that differ from the model's. */
  readonly [option: string]: OptionValue | AnyMixer | undefined;
}

/** Names that parts of a block have already. */
const TAKEN = ["mixerNorm", "mlpNorm", "mlp", "input", "mixer"];

/**
 * States a mixer, with its types inferred.
 * @throws {ConfigError} if the name cannot be part of the names of parameters.
 */
export function defineMixer<const Table extends OptionTable, Described, State>(
  mixer: Omit<Mixer<Table, Described, State>, "toJSON">,
): Mixer<Table, Described, State> {
  const { name } = mixer;
  if (!/^[a-zA-Z][a-zA-Z0-9]*$/.test(name) || TAKEN.includes(name)) {
    throw new ConfigError(
      `Cannot define mixer ${JSON.stringify(name)}: its name must be letters and digits, and not one of ${
        TAKEN.join(", ")
      }`,
      "name",
    );
  }
  return { ...mixer, toJSON: () => name };
}

/** States a layer, with its types inferred: what `parameters` and `initialState` give is what `forward` takes. */
export function defineLayer<Described, State>(layer: MixerLayer<Described, State>): MixerLayer<Described, State> {
  return layer;
}

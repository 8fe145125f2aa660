/**
 * The parameters of a model: which there are, how many, and how wide the MLPs of a model of some size are.
 *
 * The MLPs balance: whatever a mixer takes, hidden width is added or taken away until models of different mixers have as
 * many parameters, which makes them comparable.
 */
import { sizeOfShape } from "../../core/shape.ts";
import { flatten } from "../../core/tree.ts";
import { ConfigError } from "../errors.ts";
import { type GatedMlp, gatedMlpParameters } from "../nn/layers.ts";
import { matrix, Parameter, table, vector } from "../nn/parameters.ts";
import { recurrentTokensOf } from "../mixers/recipes.ts";
import { type BlockLayer, blockLayers } from "./blocks.ts";
import type { ModelConfig } from "./options.ts";

/** Parameters of a block: besides those here, the mixer's, under its name. */
export interface Block<Leaf> {
  /** Gain of the norm before the mixer, [D]. */
  readonly mixerNorm: Leaf;
  /** Gain of the norm before the MLP, [D]. */
  readonly mlpNorm: Leaf;
  /** The MLP after the mixer. */
  readonly mlp: GatedMlp<Leaf>;
  /** The mixer's, such as `lmm`. */
  readonly [mixer: string]: unknown;
}

/** Parameters of a model. */
export interface ModelParameters<Leaf> {
  /** [V, D], or of real-valued tokens the linear map [features, D]. */
  readonly embedding: Leaf;
  /** The first rows of a recurrent memory, [M, D]; absent if there is none. */
  readonly recurrent?: Leaf;
  /**
   * In the order of the flow. Blocks that are stacked are one element, whose tensors have a leading axis;
   * `Model.blockParameters` gives each by itself.
   */
  readonly blocks: readonly Block<Leaf>[];
  /** Gain of the last norm, [D]. */
  readonly norm: Leaf;
  /** [D, V], or [D, outputs] */
  readonly head: Leaf;
}

/** Describes the parameters of a model. */
export function modelParameters(config: ModelConfig, layers: readonly BlockLayer[]): ModelParameters<Parameter> {
  const { vocabulary: V, features, outputs, width: D, mlpHidden } = config, recurrent = recurrentTokensOf(config);
  // What blocks add to the residual stream starts small, so that its size does not grow with their number.
  const scale = 1 / Math.sqrt(2 * layers.length);
  return {
    embedding: features > 0 ? matrix([features, D]) : table([V, D], 1),
    ...(recurrent > 0 ? { recurrent: table([recurrent, D], 1) } : {}),
    blocks: layers.map(({ mixer, layer }) => ({
      mixerNorm: vector([D], 1),
      [mixer.name]: layer.parameters(scale),
      mlpNorm: vector([D], 1),
      mlp: gatedMlpParameters(D, mlpHidden, scale),
    })),
    norm: vector([D], 1),
    head: matrix([D, outputs || V], 0.5),
  };
}

/** The number of parameters of a model, without making it. */
export function countParameters(config: ModelConfig): number {
  const isParameter = (value: unknown): value is Parameter => value instanceof Parameter;
  const { leaves } = flatten(modelParameters(config, blockLayers(config)), isParameter);
  return leaves.reduce((count, { shape }) => count + sizeOfShape(shape), 0);
}

/** Hidden widths are multiples of this, so that kernels have whole vectors. */
const HIDDEN_STEP = 8;

/**
 * A configuration with the hidden width of its MLPs chosen for a number of parameters: the multiple of 8 that comes
 * nearest.
 * @throws {ConfigError} if that is off by more than 3%: without MLPs it has more already, or a step changes as much.
 */
export function withParameters(config: ModelConfig, parameters: number): ModelConfig {
  const made = balanced(config, parameters), count = countParameters(made);
  if (Math.abs(count / parameters - 1) <= 0.03) return made;
  const [given, nearest] = [parameters, count].map((count) => count.toLocaleString("en"));
  throw new ConfigError(
    `Cannot use parameters ${given}: with blocks of width ${config.width} the nearest is ${nearest}; change the width or the number of blocks`,
    "parameters",
  );
}

/** The same, however near that comes. */
export function balanced(config: ModelConfig, parameters: number): ModelConfig {
  const { width, blocks, mlpHidden } = config, count = typeof blocks === "number" ? blocks : blocks.length;
  const perHidden = 3 * width * count, rest = countParameters(config) - perHidden * mlpHidden;
  const steps = Math.round((parameters - rest) / (perHidden * HIDDEN_STEP));
  return { ...config, mlpHidden: HIDDEN_STEP * Math.max(1, steps) };
}

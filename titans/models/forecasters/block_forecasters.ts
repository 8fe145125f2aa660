/**
 * Forecasts by the blocks of models: the mixers of the registry over the patches of a window, and Simba, which mixes
 * channels in the frequency domain where other blocks have an MLP (Patro and Agneeswaran, arXiv 2403.15360).
 */
import type { Tensor } from "../../../core/graph.ts";
import { add } from "../../../ops/mod.ts";
import type { Layer } from "../../nn/layer.ts";
import { layerNorm, type NormParameters, rmsNorm } from "../../nn/normalization.ts";
import type { MapTree } from "../../../core/tree.ts";
import type { Parameter } from "../../nn/parameters.ts";
import { blockLayers } from "../blocks.ts";
import { defineConfig } from "../config.ts";
import { throughBlock } from "../model.ts";
import { type Block, modelParameters } from "../model_parameters.ts";
import type { ModelConfig } from "../options.ts";
import { einFft, type EinFftParameters } from "./ein_fft.ts";
import type { Forecaster, ForecasterOptions } from "./forecaster.ts";
import { patched } from "./patched.ts";

/** A stack of blocks with a mixer, by the name of a model. */
function configOf(model: string, { width, blocks, heads, hidden }: ForecasterOptions): ModelConfig {
  return defineConfig({ model: model as ModelConfig["model"], width, blocks, heads, mlpHidden: hidden });
}

interface StackParameters<Leaf> {
  readonly blocks: readonly Block<Leaf>[];
  readonly norm: NormParameters<Leaf>;
}

/** The blocks of a model without what is around them: tokens [B, N, D] to tokens, the last norm included. */
export function blockStack(config: ModelConfig): Layer<StackParameters<Tensor>> {
  const layers = blockLayers(config), norm = rmsNorm(config.width);
  const { blocks } = modelParameters(config, layers);
  return {
    parameters: { blocks, norm: norm.parameters } as MapTree<StackParameters<Tensor>, Tensor, Parameter>,
    apply: (params, x) => {
      const read = layers.reduce((x, { mixer: { name }, layer }, i) => {
        const block = params.blocks[i], state = layer.initialState(block[name], x.shape[0]);
        return throughBlock(block, x, name, (rows) => layer.forward(block[name], rows, { state, atStart: true })).x;
      }, x);
      return norm.apply(params.norm, read);
    },
  };
}

/** A forecaster with the blocks of a model. */
export function blockForecaster(model: string, summary: string): Forecaster {
  return {
    name: model,
    summary,
    defaults: {},
    learningRate: 1e-3,
    readsCovariates: true,
    create: (options, shape) => patched(options, shape, { body: blockStack(configOf(model, options)) }),
  };
}

interface SimbaBlock {
  readonly mixerNorm: NormParameters<Tensor>;
  readonly mixer: unknown;
  readonly channelNorm: NormParameters<Tensor>;
  readonly channels: EinFftParameters<Tensor>;
}

/** Blocks of Simba with the mixers of a model. */
function simbaStack(config: ModelConfig): Layer<readonly SimbaBlock[]> {
  const { width } = config, layers = blockLayers(config), norm = layerNorm(width), channels = einFft(width);
  const scale = 1 / Math.sqrt(2 * layers.length);
  return {
    parameters: layers.map(({ layer }) => ({
      mixerNorm: norm.parameters,
      mixer: layer.parameters(scale),
      channelNorm: norm.parameters,
      channels: channels.parameters,
    })) as unknown as MapTree<readonly SimbaBlock[], Tensor, Parameter>,
    apply: (params, x) =>
      layers.reduce((x, { layer }, i) => {
        const block = params[i], state = layer.initialState(block.mixer, x.shape[0]);
        const rows = norm.apply(block.mixerNorm, x);
        const mixed = add(x, layer.forward(block.mixer, rows, { state, atStart: true }).output);
        return add(mixed, channels.apply(block.channels, norm.apply(block.channelNorm, mixed)));
      }, x),
  };
}

/** Simba with the mixers of a model: of `mamba` in its paper, of the neural memory in that of Titans. */
export function simba(model: string): Forecaster {
  return {
    name: `simba:${model}`,
    summary: `Simba with ${model}: a mixer, and EinFFT for channels`,
    paper: "2403.15360",
    defaults: {},
    learningRate: 1e-3,
    readsCovariates: true,
    create: (options, shape) => patched(options, shape, { body: simbaStack(configOf(model, options)) }),
  };
}

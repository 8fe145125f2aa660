/**
 * Memories of titans-pytorch (`NeuralMemory`, version 0.5), as `examples/titans_pytorch_file.py` writes them: read if
 * {@link neuralMemory} computes the same function of the same weights, and refused by the name of the option that makes
 * another one.
 */
import { CheckpointError } from "../errors.ts";
import type { NeuralMemoryOptions } from "../mixers/titans/neural_memory.ts";
import type { StoredTensor } from "./safetensors.ts";

/** The format in the metadata of their files. */
export const TITANS_PYTORCH_FORMAT = "titans-pytorch-1";

type Tensors = Readonly<Record<string, StoredTensor>>;
type Options = Readonly<Record<string, unknown>>;

/** Options of titans-pytorch of which one value alone is computed here, and what another one would do. */
const ONLY: Readonly<Record<string, readonly [value: unknown, otherwise: string]>> = {
  chunk_size: [1, "tokens of a chunk share their gates, and the memory is written at its end"],
  model: ["MemoryMLP", "the memory is another network"],
  adaptive_step_transform: [null, "steps are another function of the token"],
  store_memory_loss_fn: [null, "the memory learns by another loss"],
  momentum_order: [1, "there are several momentums"],
  learned_momentum_combine: [false, "there are several momentums"],
  num_kv_per_token: [1, "a token is written several times"],
  qkv_receives_diff_views: [false, "keys and values come from several sequences"],
  per_parameter_lr_modulation: [false, "each matrix of the memory has steps of its own"],
  attn_pool_chunks: [false, "gates depend on chunks"],
  max_grad_norm: [null, "inner gradients are clamped"],
  accept_weight_residual: [false, "the memory depends on that of another layer"],
  spectral_norm_surprises: [false, "updates are made orthogonal"],
  gated_transition: [false, "the memory follows its updates slowly"],
  store_with_lookahead_value: [false, "a key is stored with the value of the next token"],
};

/** Those that have an equivalent here. */
const KNOWN = [
  "dim",
  "heads",
  "batch_size",
  "activation",
  "momentum",
  "mem_model_norm_add_residual",
  "default_step_transform_max_lr",
];

function refuse(option: string, value: unknown, why: string): never {
  throw new CheckpointError(
    `Cannot import this memory of titans-pytorch: its ${option} is ${JSON.stringify(value)}, ${why}`,
  );
}

/**
 * What a memory is called here.
 * @param tensors As their module names them.
 * @param options Of their module.
 * @throws {CheckpointError} if it computes another function, or a tensor is not known.
 */
export function fromTitansPytorch(
  tensors: Tensors,
  options: Options,
): { readonly tensors: Tensors; readonly options: NeuralMemoryOptions } {
  const silent = [...KNOWN, ...Object.keys(ONLY)].find((option) => !Object.hasOwn(options, option));
  if (silent) throw new CheckpointError(`Cannot import this memory of titans-pytorch: nothing says its ${silent}`);
  for (const [option, value] of Object.entries(options)) {
    if (KNOWN.includes(option)) continue;
    if (!Object.hasOwn(ONLY, option)) refuse(option, value, "and this version does not know the option");
    const [only, otherwise] = ONLY[option];
    if (value !== only) {
      refuse(option, value, `with which ${otherwise}: only ${JSON.stringify(only)} gives the same outputs`);
    }
  }
  const { dim, heads, batch_size: miniBatch, activation, momentum, default_step_transform_max_lr: thetaMax } = options;
  if (miniBatch === null) {
    refuse(
      "batch_size",
      null,
      "with which all gradients are taken at the first weights, however long the text: set one",
    );
  }
  if (activation !== null && activation !== "SiLU()") {
    refuse("activation", activation, "and only SiLU() is known, or none");
  }
  const renamed = new Renamed(tensors), { matrices } = renamed;
  const [, K, hidden] = matrices[0]?.shape ?? [];
  const own = {
    width: dim as number,
    heads: heads as number,
    headWidth: K,
    miniBatch: miniBatch as number,
    depth: matrices.length,
    ...(matrices.length > 1 && { hidden }),
    residual: options.mem_model_norm_add_residual === true,
    thetaMax: thetaMax as number,
    momentum: momentum === true,
    activation: activation === null ? "none" : "silu",
    tokenNorm: renamed.has("storeNorm"),
    keyNorm: renamed.has("keyNorm"),
    outputNorm: renamed.has("outputNorm"),
  } as const;
  return { tensors: renamed.tensors(), options: own };
}

/** What parameters are called there and here. */
const NAMES: readonly (readonly [theirs: RegExp, own: string, change?: (tensor: StoredTensor) => StoredTensor])[] = [
  [/^store_norm\.weight$/, "storeNorm"],
  [/^retrieve_norm\.weight$/, "retrieveNorm"],
  [/^to_queries\.(?:0\.)?weight$/, "query", transposed],
  [/^to_keys\.(?:0\.)?weight$/, "key", transposed],
  [/^to_values\.(?:0\.)?weight$/, "value", transposed],
  [/^to_adaptive_step\.0\.weight$/, "theta.weight", transposed],
  [/^to_adaptive_step\.0\.bias$/, "theta.bias"],
  [/^to_momentum\.0\.weight$/, "eta.weight", transposed],
  [/^to_momentum\.0\.bias$/, "eta.bias"],
  [/^to_decay_factor\.0\.weight$/, "alpha.weight", transposed],
  [/^to_decay_factor\.0\.bias$/, "alpha.bias"],
  [/^retrieve_gate\.0\.weight$/, "gate", transposed],
  [/^combine_heads\.weight$/, "out", transposed],
  [/^q_norm\.gamma$/, "queryNorm", asGain],
  [/^k_norm\.gamma$/, "keyNorm", asGain],
  [/^multihead_rmsnorm\.gamma$/, "outputNorm", asGain],
];
const MATRIX = /^memory\.weights\.(\d)$/, GAMMA = "memory.norm.gamma";

/** The tensors of a file by the names that they have here. */
class Renamed {
  readonly #named: Record<string, StoredTensor> = {};
  /** The first matrices of the memory. */
  readonly matrices: StoredTensor[] = [];
  #gamma: StoredTensor | undefined;

  constructor(tensors: Tensors) {
    for (const [name, tensor] of Object.entries(tensors)) {
      const layer = MATRIX.exec(name), found = NAMES.find(([theirs]) => theirs.test(name));
      if (layer) this.matrices[Number(layer[1])] = tensor;
      else if (name === GAMMA) this.#gamma = tensor;
      else if (found) this.#named[found[1]] = found[2]?.(tensor) ?? tensor;
      else throw new CheckpointError(`Cannot import this memory of titans-pytorch: tensor ${name} is not known`);
    }
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#named, name);
  }

  tensors(): Tensors {
    // The gain of the norm is part of the memory there too: a fast vector, the last layer here.
    const gain = this.#gamma && { ...this.#gamma, shape: [this.#gamma.shape[0], 1, ...this.#gamma.shape.slice(1)] };
    const initial = [...this.matrices, ...(gain ? [gain] : [])];
    return { ...this.#named, ...Object.fromEntries(initial.map((tensor, i) => [`initial.${i}`, tensor])) };
  }
}

/** A matrix as it multiplies rows from the right: there its rows are outputs. */
function transposed({ shape, data }: StoredTensor): StoredTensor {
  const [rows, columns] = shape;
  return {
    shape: [columns, rows],
    data: Float32Array.from(data, (_, i) => data[i % rows * columns + Math.floor(i / rows)]),
  };
}

/** Gains are stored there by what they are more than one, [H, 1, K]. */
function asGain({ shape: [heads, , width], data }: StoredTensor): StoredTensor {
  return { shape: [heads, width], data: Float32Array.from(data, (gamma) => gamma + 1) };
}

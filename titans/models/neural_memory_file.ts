/**
 * Files of a memory as a layer: safetensors with the parameters by their paths, and the options as JSON in the
 * metadata.
 * Those of titans-pytorch are read too: see titans_pytorch.ts.
 */
import { CheckpointError, ConfigError } from "../errors.ts";
import {
  type NeuralMemory,
  neuralMemory,
  type NeuralMemoryOptions,
  type NeuralMemoryParameters,
} from "../mixers/titans/neural_memory.ts";
import type { MapTree } from "../../core/tree.ts";
import { type InitialValue, layoutOf, valuesOf } from "../nn/layer.ts";
import type { NamedArrays, Parameter } from "../nn/parameters.ts";
import { decodeSafetensors, encodeSafetensors, type StoredTensors } from "./safetensors.ts";
import { fromTitansPytorch, TITANS_PYTORCH_FORMAT } from "./titans_pytorch.ts";
import { namedParameters } from "./weights_file.ts";

const FORMAT = "mneme-neural-memory-1";

/** A memory with its weights. */
export interface StoredNeuralMemory {
  /** What it was made with. */
  readonly options: NeuralMemoryOptions;
  /** The layer. */
  readonly layer: NeuralMemory;
  /** Its parameters, as an argument of programs. */
  readonly params: MapTree<NeuralMemoryParameters<Parameter>, Parameter, InitialValue>;
  /** The same by name. */
  readonly arrays: NamedArrays;
}

/** The bytes of our own file. @throws {RangeError} if the arrays are not those of the layer. */
export function encodeNeuralMemory({ options, layer, arrays }: StoredNeuralMemory): Uint8Array<ArrayBuffer> {
  const layout = layoutOf(layer.parameters);
  layout.pack(arrays); // checks names and sizes
  const tensors = layout.entries.map(({ name, parameter: { shape } }) => [name, { shape, data: arrays[name] }]);
  return encodeSafetensors({
    tensors: Object.fromEntries(tensors),
    metadata: { format: FORMAT, options: JSON.stringify(options) },
  });
}

/**
 * Reads a memory.
 * @param bytes Of our own file, or of one of titans-pytorch.
 * @throws {CheckpointError} in one line if the file is damaged, is none of these, or of a memory that computes another
 * function.
 */
export function decodeNeuralMemory(bytes: Uint8Array): StoredNeuralMemory {
  const { tensors, metadata } = decodeSafetensors(bytes), { format } = metadata;
  if (format === FORMAT) return stored(tensors, readOptions(metadata.options) as unknown as NeuralMemoryOptions);
  if (format === TITANS_PYTORCH_FORMAT) {
    const renamed = fromTitansPytorch(tensors, readOptions(metadata.options));
    return stored(renamed.tensors, renamed.options);
  }
  throw new CheckpointError(
    `Cannot read a memory: its format is ${
      JSON.stringify(format) ?? "missing"
    }, expected "${FORMAT}" or "${TITANS_PYTORCH_FORMAT}"; a checkpoint of titans-pytorch does not say which function it is of: write the module with examples/titans_pytorch_file.py`,
  );
}

function readOptions(text: string | undefined): Readonly<Record<string, unknown>> {
  try {
    const options: unknown = JSON.parse(text ?? "");
    if (typeof options === "object" && options !== null && !Array.isArray(options)) {
      return options as Record<string, unknown>;
    }
  } catch {
    // Said below.
  }
  throw new CheckpointError("Cannot read a memory: its metadata has no record of options");
}

/** The memory of these options, with its weights among tensors. */
function stored(tensors: StoredTensors["tensors"], options: NeuralMemoryOptions): StoredNeuralMemory {
  const layer = made(options), layout = layoutOf(layer.parameters);
  const arrays = namedParameters(tensors, layout, { of: "a memory" });
  const extra = Object.keys(tensors).find((name) => !Object.hasOwn(arrays, name));
  if (extra !== undefined) throw new CheckpointError(`Cannot read a memory: tensor ${extra} is not part of it`);
  return { options, layer, params: valuesOf(layer.parameters, arrays) as StoredNeuralMemory["params"], arrays };
}

function made(options: NeuralMemoryOptions): NeuralMemory {
  try {
    return neuralMemory(options);
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new CheckpointError(`Cannot read the options of a memory: ${cause.message}`, { cause });
  }
}

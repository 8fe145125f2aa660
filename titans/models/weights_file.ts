/**
 * Weights files: a model's parameters by name, without what training keeps, as a safetensors file for others to read.
 * They are of f32, or of int8 with scales: see quantize.ts. What the model is stands in a file of its own, as is the
 * custom among those who share weights.
 */
import { optionNames } from "../../core/options.ts";
import { checkNames, CheckpointError } from "../errors.ts";
import type { NamedArrays, ParameterLayout } from "../nn/parameters.ts";
import type { Model } from "./model.ts";
import { dequantizeTensors, type Quantization, quantizeTensors } from "./quantize.ts";
import { decodeSafetensors, encodeSafetensors, type StoredTensor } from "./safetensors.ts";

/** The format in the metadata of a weights file. */
export const WEIGHTS_FORMAT = "mneme-weights-1";

/** Options of {@link encodeWeights}. */
export interface EncodeWeightsOptions {
  /** How matrices are stored in fewer bits. Default: everything is of f32. */
  readonly quantize?: Quantization;
}

const ENCODE_OPTIONS = optionNames<EncodeWeightsOptions>({ quantize: true });

/**
 * The bytes of a weights file.
 * @param model Whose parameters they are.
 * @param params Arrays by name.
 * @param options Whether matrices are quantized.
 * @throws {RangeError} if the arrays are not those of the model; {CheckpointError} if a value cannot be quantized.
 */
export function encodeWeights(
  model: Model,
  params: NamedArrays,
  options: EncodeWeightsOptions = {},
): Uint8Array<ArrayBuffer> {
  checkNames("encodeWeights", options, ENCODE_OPTIONS);
  model.layout.pack(params); // checks names and sizes
  const tensors = Object.fromEntries(
    model.layout.entries.map(({ name, parameter: { shape } }) => [name, { shape, data: params[name] }]),
  );
  return encodeSafetensors({
    tensors: options.quantize ? quantizeTensors(tensors) : tensors,
    metadata: { format: WEIGHTS_FORMAT },
  });
}

/**
 * Reads the bytes of a weights file, quantized or not.
 * @param bytes Of the file.
 * @param model Whose parameters they must be.
 * @returns Arrays of f32 by name.
 * @throws {CheckpointError} in one line if the file is damaged or is of another model.
 */
export function decodeWeights(bytes: Uint8Array, model: Model): NamedArrays {
  const { tensors, metadata: { format } } = decodeSafetensors(bytes);
  if (format !== WEIGHTS_FORMAT) {
    throw new CheckpointError(
      `Cannot read weights: their format is ${JSON.stringify(format) ?? "missing"}, expected "${WEIGHTS_FORMAT}"`,
    );
  }
  const wide = dequantizeTensors(tensors), params = namedParameters(wide, model.layout, { of: "weights" });
  const extra = Object.keys(wide).find((name) => !Object.hasOwn(params, name));
  if (extra !== undefined) throw new CheckpointError(`Cannot read weights: tensor ${extra} is not part of the model`);
  return params;
}

/**
 * The parameters of a layout among stored tensors.
 * @param options.prefix What stands before their names. Default: nothing.
 * @param options.of What is read, for error messages.
 * @throws {CheckpointError} if one is missing or has another shape.
 */
export function namedParameters(
  tensors: Readonly<Record<string, StoredTensor>>,
  { entries }: Pick<ParameterLayout, "entries">,
  { prefix = "", of }: { readonly prefix?: string; readonly of: string },
): NamedArrays {
  return Object.fromEntries(entries.map(({ name, parameter: { shape } }) => {
    const key = prefix + name, tensor = Object.hasOwn(tensors, key) ? tensors[key] : undefined;
    if (!tensor) throw new CheckpointError(`Cannot read ${of}: tensor ${key} is missing`);
    if (!(tensor.data instanceof Float32Array) || String(tensor.shape) !== String(shape)) {
      throw new CheckpointError(
        `Cannot read ${of}: tensor ${key} has shape [${tensor.shape.join(", ")}], the model needs f32 [${
          shape.join(", ")
        }]`,
      );
    }
    return [name, tensor.data];
  }));
}

/**
 * Weights and memories in a quarter of their size: 8-bit integers with a scale for each channel,
 * `value = integer * scale`, symmetric around zero.
 *
 * A tensor `NAME` is stored as int8 of the same shape, and its scales as `NAME.scale` in f32, whose shape is that of
 * the tensor with an extent of 1 along the axis that shares a scale. That is one of the last two axes, whichever loses
 * less: a linear map [in, out] has mostly a scale for each output, a table of embeddings one for each row. What is
 * small or sensitive - vectors, and matrices that scales would make hardly smaller - stays in f32.
 */
import { CheckpointError } from "../errors.ts";
import type { StoredTensor } from "./safetensors.ts";

/** How numbers can be stored in fewer bits. */
export type Quantization = "int8";

/** Tensors by name. */
type Tensors = Readonly<Record<string, StoredTensor>>;

const SCALE = ".scale";
/** The largest integer: -128 is left out, so that a value and its negative are stored alike. */
const LARGEST = 127;
/** Fewer elements than this do not share a scale: the scales would take more than a quarter of what is saved. */
const MIN_SHARED = 16;

/** Tensors with int8 in place of f32 where that saves. @throws {CheckpointError} if a value is not finite. */
export function quantizeTensors(tensors: Tensors): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).flatMap(([name, tensor]): [string, StoredTensor][] => {
      const quantized = quantized8(name, tensor);
      return quantized ? [[name, quantized.integers], [name + SCALE, quantized.scale]] : [[name, tensor]];
    }),
  );
}

/**
 * The tensors that {@link quantizeTensors} was given, to within half a step of each; tensors that are not quantized are
 * returned as they are.
 * @throws {CheckpointError} if scales are missing or have another shape.
 */
export function dequantizeTensors(tensors: Tensors): Tensors {
  const scales = new Set(
    Object.entries(tensors).flatMap(([name, { data }]) => data instanceof Int8Array ? [name + SCALE] : []),
  );
  return Object.fromEntries(
    Object.entries(tensors).filter(([name]) => !scales.has(name)).map(([name, tensor]) => {
      const { data } = tensor;
      return [name, data instanceof Int8Array ? widened(name, { ...tensor, data }, tensors[name + SCALE]) : tensor];
    }),
  );
}

interface Quantized {
  readonly integers: StoredTensor;
  readonly scale: StoredTensor;
  /** The sum of the squares of what is lost. */
  readonly loss: number;
}

function quantized8(name: string, { shape, data }: StoredTensor): Quantized | undefined {
  if (!(data instanceof Float32Array)) return undefined;
  const bad = data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw new CheckpointError(`Cannot quantize tensor ${name}: element ${bad} is ${data[bad]}`);
  const axes = [shape.length - 2, shape.length - 1].filter((axis) => shape.length >= 2 && shape[axis] >= MIN_SHARED);
  return axes.map((axis) => alongAxis(shape, data, axis)).sort((a, b) => a.loss - b.loss)[0];
}

/** Quantizes with a scale for all elements along an axis. */
function alongAxis(shape: readonly number[], data: Float32Array, axis: number): Quantized {
  const scale = new Float32Array(data.length / shape[axis]), integers = new Int8Array(data.length);
  const scaleOf = scaleIndex(shape, axis);
  for (let i = 0; i < data.length; i++) scale[scaleOf(i)] = Math.max(scale[scaleOf(i)], Math.abs(data[i]));
  for (let i = 0; i < scale.length; i++) scale[i] /= LARGEST;
  let loss = 0;
  for (let i = 0; i < data.length; i++) {
    const step = scale[scaleOf(i)];
    // A channel of zeros has no scale; the scale of denormal numbers is rounded, so that they may exceed it.
    integers[i] = step === 0 ? 0 : Math.max(-LARGEST, Math.min(LARGEST, Math.round(data[i] / step)));
    loss += (data[i] - integers[i] * step) ** 2;
  }
  const scaleShape = shape.map((extent, i) => i === axis ? 1 : extent);
  return { integers: { shape, data: integers }, scale: { shape: scaleShape, data: scale }, loss };
}

/** Which scale an element has, where elements along an axis share one. */
function scaleIndex(shape: readonly number[], axis: number): (element: number) => number {
  const inner = shape.slice(axis + 1).reduce((size, extent) => size * extent, 1), block = inner * shape[axis];
  return (element) => Math.floor(element / block) * inner + element % inner;
}

function widened(
  name: string,
  { shape, data }: StoredTensor & { readonly data: Int8Array },
  scale: StoredTensor | undefined,
): StoredTensor {
  const found = scale?.shape ?? [], shared = shape.flatMap((extent, axis) => extent === found[axis] ? [] : [axis]);
  const fits = found.length === shape.length && shared.length <= 1 && shared.every((axis) => found[axis] === 1);
  if (!fits || !(scale?.data instanceof Float32Array)) {
    const why = scale ? `is no f32 of a shape that fits [${shape.join(", ")}]` : "is missing";
    throw new CheckpointError(`Cannot read tensor ${name}: it is of int8, and ${name}${SCALE} ${why}`);
  }
  const steps = scale.data, scaleOf = shared.length === 0 ? (i: number) => i : scaleIndex(shape, shared[0]);
  return { shape, data: Float32Array.from(data, (integer, i) => integer * steps[scaleOf(i)]) };
}

/** What rows carry from step to step, in device memory. */
import type { Tensor } from "../../core/graph.ts";
import { isSpec, type Spec, spec } from "../../core/trace.ts";
import { mapLeaves, type MapTree } from "../../core/tree.ts";
import type { Device, DeviceArray } from "../../kernels/mod.ts";
import { ConfigError } from "../errors.ts";
import { boundarySpecs, mismatchOf, namedLeaves } from "../models/decode.ts";
import type { ModelState } from "../models/model.ts";
import type { Network } from "../models/network.ts";
import type { StoredTensor } from "../models/safetensors.ts";

/** The states of the rows of a step, in device memory. */
export type CarriedArrays = MapTree<ModelState, Tensor, DeviceArray>;
/** Their types. */
export type CarriedSpecs = MapTree<ModelState, Tensor, Spec>;

/** Whether something is an array in device memory: the leaf test of trees of them. */
export function isDeviceArray(value: unknown): value is DeviceArray {
  return typeof value === "object" && value !== null && "dispose" in value;
}

/** The types of the carried state: [A, B, ...]. */
export function carriedSpecs(
  model: Network,
  { batch, accumulate }: { batch: number; accumulate: number },
): CarriedSpecs {
  return mapLeaves(
    boundarySpecs(model, batch),
    isSpec,
    ({ shape, dtype }) => spec([accumulate, ...shape], dtype),
  ) as CarriedSpecs;
}

/** Uploads the carried state: as a run left it, or zeros, which are not read. */
export function uploadCarried(
  device: Device,
  specs: CarriedSpecs,
  stored: Readonly<Record<string, StoredTensor>> | undefined,
): CarriedArrays {
  const reason = stored && mismatchOf(specs, stored);
  if (reason !== undefined) {
    throw new ConfigError(
      `Cannot go on with the texts of this state: ${reason}; train with the same batch and model`,
      "state",
    );
  }
  const names = namedLeaves(specs, isSpec).map(({ name }) => name);
  let next = 0;
  return mapLeaves(specs, isSpec, (type) => {
    const name = names[next++];
    // What is stored is of f32, as was just checked.
    const data = stored?.[name].data as Float32Array | undefined;
    return device.upload(data ?? new Float32Array(type.shape.reduce((size, extent) => size * extent, 1)), type);
  }) as CarriedArrays;
}

/** Copies the carried state to the host, by name. */
export async function downloadCarried(carried: CarriedArrays): Promise<Readonly<Record<string, StoredTensor>>> {
  const leaves = namedLeaves(carried, isDeviceArray);
  const data = await Promise.all(leaves.map(({ leaf }) => leaf.read())) as Float32Array[];
  return Object.fromEntries(leaves.map(({ name, leaf }, i) => [name, { shape: leaf.shape, data: data[i] }]));
}

/** Frees the carried state. */
export function disposeCarried(carried: CarriedArrays): void {
  for (const { leaf } of namedLeaves(carried, isDeviceArray)) leaf.dispose();
}

/** Checks that texts can continue from window to window.
 * @throws {ConfigError} if states are not where windows end, or the model holds only so many tokens.
 */
export function checkStreams({ interval, maxLength }: Network, length: number): void {
  if (length % interval !== 0) {
    throw new ConfigError(
      `Cannot stream with windows of ${length} tokens: the length must be a multiple of ${interval}, where states are`,
      "length",
    );
  }
  if (maxLength === Infinity) return;
  throw new ConfigError(
    `Cannot stream texts of any length: this model's attention holds ${maxLength} tokens; give it a window`,
    "stream",
  );
}

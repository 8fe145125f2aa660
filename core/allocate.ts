/** Host memory for tensors: running out of it is one clear error. */
import type { Type } from "./dtype.ts";
import { DeviceError } from "./errors.ts";
import { formatType, sizeOfShape } from "./shape.ts";

/**
 * Engines report arrays that are too large in different ways, some of them the same as a stack overflow: arrays smaller
 * than this did not fail because of their size.
 */
const LEAST_BYTES = 2 ** 26;

/**
 * Runs what allocates host memory for tensors.
 * @param action The action, as in "Cannot compute".
 * @param types What is allocated.
 * @param elementBytes Bytes per element.
 * @throws {DeviceError} with reason `out-of-memory`, the bytes and what to do, if the engine rejects an array of this
 * size or is out of memory.
 */
export function allocating<T>(action: string, types: readonly Type[], elementBytes: number, fn: () => T): T {
  try {
    return fn();
  } catch (error) {
    const bytes = types.reduce((sum, { shape }) => sum + sizeOfShape(shape) * elementBytes, 0);
    if (!(error instanceof RangeError) || bytes < LEAST_BYTES) throw error;
    throw new DeviceError(
      `Cannot ${action} ${types.map(formatType).join(", ")}: it takes ${
        Math.ceil(bytes / 2 ** 20)
      } MiB of host memory, which could not be allocated; ` +
        "use a smaller batch or sequence, split the tensor, or use a device that fuses its producer with its consumers (cpu, webgpu)",
      "out-of-memory",
    );
  }
}

/** Host memory for tensors: running out of it is one clear error. */
import type { Type } from "./dtype.ts";
import { DeviceError } from "./errors.ts";
import { formatType, sizeOfShape } from "./shape.ts";

/**
 * Engines say in many ways that an array is too large, and some of them when the stack is full: what holds less than
 * this did not fail for its size.
 */
const LEAST_BYTES = 2 ** 26;

/**
 * Runs what allocates host memory for tensors.
 * @param action What is done, as in "Cannot compute".
 * @param types What is allocated.
 * @param elementBytes Bytes of an element.
 * @throws {DeviceError} with reason `out-of-memory`, the bytes and what to do, if the engine refuses an array so large
 * or has no memory for it.
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
        "use a smaller batch or sequence, split the tensor, or keep it on a device that fuses what makes it with what reads it (cpu, webgpu)",
      "out-of-memory",
    );
  }
}

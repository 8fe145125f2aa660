/** Asynchronous errors of a WebGPU device, which are thrown at the next use. */
import { DeviceError, type DeviceErrorReason } from "../../../core/errors.ts";

const REMEDIES: Partial<Record<DeviceErrorReason, string>> = {
  lost:
    "request a new device and load programs and weights again; if it happens repeatedly, lower the batch or sequence length",
  "out-of-memory": "dispose of arrays and programs that are no longer needed, or use a smaller batch or sequence",
};

/**
 * Collects the errors that WebGPU reports asynchronously. A lost or disposed device fails at every later use; other
 * errors are thrown once, at the next use.
 */
export class Health {
  #fatal: DeviceError | undefined;
  #reported: DeviceError | undefined;
  #pending = new Set<Promise<void>>();

  /** Observes device loss and uncaptured errors. */
  watch(gpu: GPUDevice): void {
    // Deno 2.4 has devices without this promise.
    (gpu.lost as Promise<GPUDeviceLostInfo> | undefined)?.then(({ message, reason }) => {
      this.fail("lost", `Cannot use the WebGPU device: it was lost (${message || reason})`);
    });
    gpu.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.report((event as GPUUncapturedErrorEvent).error, "run on the WebGPU device");
    });
  }

  /** Makes every later use throw. The first reason is kept. */
  fail(reason: "lost" | "disposed", message: string): void {
    this.#fatal ??= makeError(reason, message);
  }

  /** Stores an error for the next use. The first one is kept, since others are usually consequences of it. */
  report(error: GPUError, action: string): void {
    const outOfMemory = "GPUOutOfMemoryError" in globalThis && error instanceof GPUOutOfMemoryError;
    this.#reported ??= makeError(
      outOfMemory ? "out-of-memory" : "validation",
      `Cannot ${action}: ${error.message.trim()}`,
    );
  }

  /** Requires an error scope to be empty. An error that it catches is thrown at the next use after it is reported. */
  expect(scope: Promise<GPUError | null>, action: string): void {
    const check = scope.then((error) => {
      if (error) this.report(error, action);
    }, () => {}).finally(() => this.#pending.delete(check));
    this.#pending.add(check);
  }

  /** @throws {DeviceError} if the device is lost or disposed, or an error was reported since the last check. */
  check(): void {
    if (this.#fatal) throw copyOf(this.#fatal);
    const error = this.#reported;
    this.#reported = undefined;
    if (error) throw error;
  }

  /** Waits for pending error scopes, then checks. Free if there are none. */
  async settle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    this.check();
  }
}

function makeError(reason: DeviceErrorReason, message: string): DeviceError {
  const remedy = REMEDIES[reason];
  return new DeviceError(remedy ? `${message}; ${remedy}` : message, reason);
}

/** A new error for each use, so that the stack trace shows where the use was. */
function copyOf(error: DeviceError): DeviceError {
  return new DeviceError(error.message, error.reason);
}

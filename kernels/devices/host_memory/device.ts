/**
 * A device that computes in memory that the host sees: arrays are copied, not transferred, and launches are
 * synchronous. Subclasses load plans.
 */
import type { HostData, Type } from "../../../core/dtype.ts";
import { DeviceError } from "../../../core/errors.ts";
import type { DeviceInfo, DeviceLimits } from "../../device.ts";
import { checkLength, toDeviceBytes } from "../../host_data.ts";
import { BaseDevice } from "../base_device.ts";
import { CpuArray } from "./array.ts";
import type { HostMemoryContext } from "./executable.ts";
import { ALIGNMENT_BYTES, type HostMemory } from "./memory.ts";
import { SharedRange } from "./shared_range.ts";

/** Temporaries of a loop that take more would not stay in the processor's caches if each had its own memory. */
const MAX_APART_BYTES = 2 ** 21;

/** What such a device is made of. */
export interface HostMemoryParts {
  readonly kind: DeviceInfo["kind"];
  /** The device in words, without its threads. */
  readonly description: string;
  readonly memory: HostMemory;
  /** Threads that compute, the caller's among them. */
  readonly threadCount: number;
  /** Elements of a vector. */
  readonly lanes: number;
  /** Bytes of all that can be allocated, where that is less than what the machine has. */
  readonly maxMemoryBytes?: number;
}

/** A device whose arrays and programs lie in a {@link HostMemory}. */
export abstract class HostMemoryDevice extends BaseDevice {
  /** Kind and description of the device. */
  readonly info: DeviceInfo;
  /** Programs are scheduled and planned before they are loaded. */
  readonly needsPlan = true;
  /** Limits that programs must respect. */
  readonly limits: DeviceLimits;
  /** Number of threads, including the caller's. */
  readonly threadCount: number;
  /**
   * The state that executables share with the device.
   * @internal
   */
  protected readonly context: HostMemoryContext;
  #disposed = false;

  /**
   * A device made of these parts.
   * @internal
   */
  constructor({ kind, description, memory, threadCount, lanes, maxMemoryBytes }: HostMemoryParts) {
    super();
    this.threadCount = threadCount;
    this.info = {
      kind,
      description: `${description}, ${threadCount} thread${threadCount === 1 ? "" : "s"}`,
      software: true,
    };
    this.limits = {
      // Arguments are cheap, but their number is limited.
      maxOperands: 64,
      // Byte offsets of elements must fit in 31 bits.
      maxTensorBytes: 2 ** 31 - 65536,
      // With one thread nobody waits.
      maxApartBytes: threadCount === 1 ? 0 : MAX_APART_BYTES,
      // Arenas are never split.
      maxBufferBytes: Infinity,
      ...(maxMemoryBytes === undefined ? {} : { maxMemoryBytes }),
      alignmentBytes: ALIGNMENT_BYTES,
      lanes,
    };
    const arena = new SharedRange(memory), scratch = new SharedRange(memory);
    this.context = { device: this, memory, arena, scratch, threadCount, check: () => this.check() };
  }

  /** Peak of the bytes allocated for arrays and programs. */
  get highWaterBytes(): number {
    return this.context.memory.highWaterBytes;
  }

  /** Checks that the device can be used. @throws {DeviceError} if it has been disposed. */
  protected check(): void {
    if (this.#disposed) throw new DeviceError(`Cannot use the ${this.info.kind} device: it was disposed`, "disposed");
  }

  /**
   * Copies a host array to device memory.
   * @throws {ShapeError} if the length does not match; {DeviceError} if there is not enough memory.
   */
  upload(data: HostData, type: Type): CpuArray {
    this.check();
    checkLength(data, type, "upload");
    const { memory } = this.context, { buffer, byteOffset, byteLength } = toDeviceBytes(data, type.dtype);
    const array = new CpuArray(this, memory, memory.allocate(byteLength), [...type.shape], type.dtype);
    memory.bytes(array.storage, byteLength).set(new Uint8Array(buffer, byteOffset, byteLength));
    return array;
  }

  /** Does nothing: launches are synchronous. */
  synchronize(): Promise<void> {
    this.check();
    return Promise.resolve();
  }

  /** Ends the threads. Later calls throw. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.stop();
  }

  /** Ends the threads and closes what was loaded. */
  protected abstract stop(): void;
}

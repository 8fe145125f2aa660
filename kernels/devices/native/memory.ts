/** Memory that grows in its place, so that C and the host see the same bytes at the same address for good. */
import { DeviceError } from "../../../core/errors.ts";
import { mebibytes } from "../../limits.ts";
import { HostMemory, PAGE } from "../host_memory/memory.ts";

/** Addresses that are set aside, in bytes: more than the memory of most machines. Only what is used takes memory. */
const RESERVED = 2 ** 40;

/** The least that is worth having. */
const LEAST = 2 ** 32;

/** The memory of a native device. */
export class NativeMemory extends HostMemory {
  readonly buffer: SharedArrayBuffer;

  /**
   * @param poison Whether memory is filled with NaN when it is given out.
   * @param reserved The most that it can hold, in bytes.
   * @throws {DeviceError} with reason `unavailable` if the system sets no addresses aside.
   */
  constructor(poison: boolean, reserved: number = RESERVED) {
    const buffer = reserve(reserved);
    super("native", buffer.maxByteLength, poison);
    this.buffer = buffer;
  }

  protected grow(bytes: number): void {
    this.buffer.grow(this.buffer.byteLength + bytes);
  }

  protected get limitInWords(): string {
    return `the machine has no more, or the ${mebibytes(this.limitBytes)} of addresses that were set aside are full`;
  }
}

/** A buffer of one page that can grow: where address space is limited, less than was asked for. */
function reserve(bytes: number): SharedArrayBuffer {
  for (let most = bytes;; most /= 4) {
    try {
      return new SharedArrayBuffer(PAGE, { maxByteLength: most });
    } catch {
      if (most > LEAST) continue;
      throw new DeviceError(
        'Cannot open the device "native": the system sets no addresses aside; raise its limit (ulimit -v), or use the device "cpu"',
        "unavailable",
      );
    }
  }
}

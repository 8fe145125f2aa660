/** Memory shared by the host and its kernels, and its allocator. */
import { DeviceError } from "../../../core/errors.ts";
import { mebibytes } from "../../limits.ts";

/** Growth granularity of the memory. */
export const PAGE = 65536;
/** Alignment of arrays: whole cache lines, never shared by two arrays. */
export const ALIGNMENT_BYTES = 256;

/** Minimum growth: growing is a system call. */
const GROWTH = 16 * 2 ** 20;

interface Range {
  start: number;
  size: number;
}

/**
 * Allocates from one growable buffer. The first page is reserved for the device; adjacent free ranges are merged.
 * Addresses are offsets in the buffer.
 */
export abstract class HostMemory {
  /** Free ranges in order of increasing address. */
  #free: Range[] = [];
  #end = PAGE;

  /**
   * @param kind The name of the device, for error messages.
   * @param limitBytes The maximum size of the buffer.
   * @param poison Whether to fill memory with NaN on allocation.
   */
  constructor(readonly kind: string, readonly limitBytes: number, readonly poison: boolean) {}

  /** The current memory. Growing it may invalidate earlier views. */
  abstract get buffer(): ArrayBufferLike;

  /** Grows the memory by a number of bytes, a multiple of 65536. @throws {Error} if it cannot. */
  protected abstract grow(bytes: number): void;

  /** Bytes in use, and their peak. */
  get highWaterBytes(): number {
    return this.#end - PAGE;
  }

  /**
   * Allocates memory aligned to 256 bytes, with arbitrary content.
   * @throws {DeviceError} with reason `out-of-memory` if the machine or the buffer is exhausted.
   */
  allocate(sizeBytes: number): number {
    const size = roundUp(sizeBytes);
    const at = this.#free.findIndex((range) => range.size >= size);
    let start: number;
    if (at >= 0) {
      const range = this.#free[at];
      start = range.start;
      range.start += size;
      range.size -= size;
      if (range.size === 0) this.#free.splice(at, 1);
    } else {
      start = this.#extend(size);
    }
    if (this.poison) new Uint32Array(this.buffer, start, size / 4).fill(0x7fc00000);
    return start;
  }

  #extend(size: number): number {
    let start = this.#end;
    const last = this.#free.at(-1);
    if (last && last.start + last.size === this.#end) {
      start = last.start;
      this.#free.pop();
    }
    const end = start + size;
    // A vector load may read beyond the last element.
    const missing = end + ALIGNMENT_BYTES - this.buffer.byteLength;
    if (missing > 0) this.#grow(missing, size);
    this.#end = end;
    return start;
  }

  #grow(missing: number, size: number): void {
    const present = this.buffer.byteLength, needed = Math.ceil(missing / PAGE) * PAGE;
    const generous = Math.min(GROWTH, this.limitBytes - present);
    try {
      this.grow(Math.max(needed, generous));
    } catch {
      throw new DeviceError(
        `Cannot allocate ${mebibytes(size)} on the device "${this.kind}": ${
          mebibytes(present)
        } are in use, and ${this.limitInWords}; ` +
          `dispose of arrays and programs that are no longer needed, or use a smaller batch or sequence`,
        "out-of-memory",
      );
    }
  }

  /** The limit, as a clause of an error message. */
  protected abstract get limitInWords(): string;

  /** Frees memory. */
  free(start: number, sizeBytes: number): void {
    const size = roundUp(sizeBytes);
    let at = this.#free.findIndex((range) => range.start > start);
    if (at < 0) at = this.#free.length;
    const before = this.#free[at - 1], after = this.#free[at];
    if (before && before.start + before.size === start) {
      before.size += size;
      if (after && before.start + before.size === after.start) {
        before.size += after.size;
        this.#free.splice(at, 1);
      }
    } else if (after && start + size === after.start) {
      after.start = start;
      after.size += size;
    } else {
      this.#free.splice(at, 0, { start, size });
    }
  }

  /** The words of a range. Valid until the next allocation. */
  words(start: number, count: number): Int32Array {
    return new Int32Array(this.buffer, start, count);
  }

  /** The bytes of a range. Valid until the next allocation. */
  bytes(start: number, count: number): Uint8Array {
    return new Uint8Array(this.buffer, start, count);
  }
}

function roundUp(bytes: number): number {
  return Math.max(ALIGNMENT_BYTES, Math.ceil(bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES);
}

/** A linear memory and the allocation of its parts. */
import { DeviceError } from "../../../core/errors.ts";
import { mebibytes } from "../../plan_memory.ts";
import { MAX_PAGES } from "./wasm_encoder.ts";

const PAGE = 65536;
/** Where arrays begin: lines of the cache, and no two on one. */
export const ALIGNMENT_BYTES = 256;

/** Least growth: growing is a system call for every thread. */
const GROWTH = 16 * 2 ** 20;

interface Range {
  start: number;
  size: number;
}

/**
 * Allocates from a WebAssembly memory. The first page is the device's own; ranges that touch are joined when they are
 * free.
 */
export class CpuMemory {
  readonly wasm: WebAssembly.Memory;
  /** Free ranges by rising address. */
  #free: Range[] = [];
  #end = PAGE;

  /** @param poison Whether memory is filled with NaN when it is given out. */
  constructor(readonly shared: boolean, readonly poison: boolean) {
    this.wasm = new WebAssembly.Memory({ initial: 1, maximum: MAX_PAGES, shared });
  }

  /** Bytes given out and never more than that at once so far. */
  get highWaterBytes(): number {
    return this.#end - PAGE;
  }

  /**
   * Gives out memory, aligned to 256 bytes, with whatever content.
   * @throws {DeviceError} with reason `out-of-memory` if the machine or the 4 GiB of WebAssembly have no more.
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
    if (this.poison) new Uint32Array(this.wasm.buffer, start, size / 4).fill(0x7fc00000);
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
    // A vector load may reach beyond the last element.
    const missing = end + ALIGNMENT_BYTES - this.wasm.buffer.byteLength;
    if (missing > 0) this.#grow(missing, size);
    this.#end = end;
    return start;
  }

  #grow(missing: number, size: number): void {
    const present = this.wasm.buffer.byteLength / PAGE;
    const needed = Math.ceil(missing / PAGE), generous = Math.min(Math.ceil(GROWTH / PAGE), MAX_PAGES - present);
    try {
      this.wasm.grow(Math.max(needed, generous));
    } catch {
      throw new DeviceError(
        `Cannot allocate ${mebibytes(size)} on the device "cpu": ${
          mebibytes(present * PAGE)
        } are in use, and WebAssembly has at most 4096 MiB; ` +
          `dispose of arrays and programs that are no longer needed, or use a smaller batch or sequence`,
        "out-of-memory",
      );
    }
  }

  /** Takes memory back. */
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

  /** Words of a range. Valid until the next allocation. */
  words(start: number, count: number): Int32Array {
    return new Int32Array(this.wasm.buffer, start, count);
  }

  /** Bytes of a range. Valid until the next allocation. */
  bytes(start: number, count: number): Uint8Array {
    return new Uint8Array(this.wasm.buffer, start, count);
  }
}

function roundUp(bytes: number): number {
  return Math.max(ALIGNMENT_BYTES, Math.ceil(bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES);
}

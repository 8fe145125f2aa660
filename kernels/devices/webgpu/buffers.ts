/** A pool of device memory for arrays: buffers are reused, and not returned to the driver while demand is steady. */
import { mebibytes } from "../../limits.ts";
import type { Health } from "./health.ts";

/** A buffer of the pool. Ids are never reused, so they identify a buffer in caches. */
export interface PoolBuffer {
  /** Identifies the buffer. */
  readonly id: number;
  /** The buffer. */
  readonly gpu: GPUBuffer;
  /** The size class; at least the requested size. */
  readonly sizeBytes: number;
}

/** Maximum free bytes that the pool keeps, beyond the bytes in use. */
const SLACK_BYTES = 64 * 2 ** 20;

/**
 * Buffers by size class. A request takes the free buffer with the lowest id, so that repeated launches and disposals
 * settle into a short cycle of buffers, and bind groups cached by buffer are reused.
 */
export class BufferPool {
  #gpu: GPUDevice;
  #health: Health;
  #free = new Map<number, PoolBuffer[]>();
  #all = new Set<PoolBuffer>();
  #nextId = 0;
  #freeBytes = 0;
  #totalBytes = 0;

  /** @param maxBufferBytes Maximum bytes of a buffer, a multiple of 256. */
  constructor(gpu: GPUDevice, health: Health, readonly maxBufferBytes: number) {
    this.#gpu = gpu;
    this.#health = health;
  }

  /** Number of buffers created so far. */
  get created(): number {
    return this.#nextId;
  }

  /** Number of buffers that are not destroyed. */
  get alive(): number {
    return this.#all.size;
  }

  /** Bytes of all buffers of the pool, and of the free ones. */
  get bytes(): { readonly total: number; readonly free: number } {
    return { total: this.#totalBytes, free: this.#freeBytes };
  }

  /**
   * A buffer of at least `sizeBytes`, with arbitrary content. Running out of memory is reported at the device's next
   * use.
   */
  acquire(sizeBytes: number): PoolBuffer {
    const size = Math.max(sizeBytes, Math.min(sizeClass(sizeBytes), this.maxBufferBytes));
    const free = this.#free.get(size);
    if (free?.length) {
      const buffer = free.pop()!;
      this.#freeBytes -= size;
      return buffer;
    }
    this.#trim(this.#totalBytes - this.#freeBytes + SLACK_BYTES);
    const gpu = createBuffer(
      this.#gpu,
      this.#health,
      size,
      GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      "an array",
    );
    const buffer = { id: this.#nextId++, gpu, sizeBytes: size };
    this.#all.add(buffer);
    this.#totalBytes += size;
    return buffer;
  }

  /** Returns a buffer to the pool. Submitted work may still use it: the queue preserves order. */
  release(buffer: PoolBuffer): void {
    let free = this.#free.get(buffer.sizeBytes);
    if (!free) this.#free.set(buffer.sizeBytes, free = []);
    // In descending order, so that the lowest id is at the end.
    let at = free.length;
    while (at > 0 && free[at - 1].id < buffer.id) at--;
    free.splice(at, 0, buffer);
    this.#freeBytes += buffer.sizeBytes;
  }

  /** Destroys free buffers, the newest first, until at most `keepBytes` are free. */
  #trim(keepBytes: number): void {
    if (this.#freeBytes <= keepBytes) return;
    const candidates = [...this.#free.values()].flat().sort((a, b) => b.id - a.id);
    for (const buffer of candidates) {
      if (this.#freeBytes <= keepBytes) return;
      const free = this.#free.get(buffer.sizeBytes)!;
      free.splice(free.indexOf(buffer), 1);
      this.#all.delete(buffer);
      this.#freeBytes -= buffer.sizeBytes;
      this.#totalBytes -= buffer.sizeBytes;
      buffer.gpu.destroy();
    }
  }

  /** Destroys every buffer, those in use included. */
  destroy(): void {
    for (const buffer of this.#all) buffer.gpu.destroy();
    this.#all.clear();
    this.#free.clear();
    this.#freeBytes = this.#totalBytes = 0;
  }
}

/** Multiples of 256 bytes up to 4 KiB, above that 16 classes per octave: at most 6% is wasted. */
function sizeClass(sizeBytes: number): number {
  const step = sizeBytes <= 4096 ? 256 : 2 ** (Math.floor(Math.log2(sizeBytes - 1)) - 4);
  return Math.max(256, Math.ceil(sizeBytes / step) * step);
}

/** Creates a buffer under an error scope: running out of memory is thrown at the device's next use, with the size. */
export function createBuffer(
  gpu: GPUDevice,
  health: Health,
  size: number,
  usage: number,
  what: string,
  mapped = false,
): GPUBuffer {
  gpu.pushErrorScope("out-of-memory");
  const buffer = gpu.createBuffer({ size, usage, mappedAtCreation: mapped });
  health.expect(gpu.popErrorScope(), `allocate ${mebibytes(size)} of device memory for ${what}`);
  // The first mapping: see readStaging in host.ts.
  if (mapped) buffer.unmap();
  return buffer;
}

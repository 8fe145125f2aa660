/**
 * Copies device buffers to the host. Reads requested in the same turn of the event loop share one staging buffer and
 * one submit.
 */
import { createBuffer } from "./buffers.ts";
import type { Health } from "./health.ts";
import { type ByteRange, readStaging } from "./host.ts";

interface Request {
  readonly buffer: GPUBuffer;
  readonly sizeBytes: number;
  readonly resolve: (bytes: ArrayBuffer) => void;
  readonly reject: (error: unknown) => void;
}

/** Maximum bytes of a staging buffer, unless a single read needs more; larger ones are not kept. */
const BATCH_BYTES = 64 * 2 ** 20;

/**
 * Number of copies after which a read yields to the event loop. In Deno, unawaited promises (see host.ts) only settle
 * when the event loop turns, and a loop that reads and launches would otherwise never turn it: each read would leak a
 * kilobyte.
 */
const COPIES_BEFORE_TURN = 32;

/** The pending reads of one device. */
export class Reader {
  #gpu: GPUDevice;
  #health: Health;
  #requests: Request[] = [];
  #idle: GPUBuffer[] = [];
  #copies = 0;
  /** Number of staging buffers created so far, and of those not yet destroyed. */
  created = 0;
  alive = 0;

  constructor(gpu: GPUDevice, health: Health) {
    this.#gpu = gpu;
    this.#health = health;
  }

  /** Copies the first bytes of a buffer, as of all work submitted so far. */
  read(buffer: GPUBuffer, sizeBytes: number): Promise<ArrayBuffer> {
    return new Promise((resolve, reject) => {
      if (this.#requests.length === 0) queueMicrotask(() => this.flush());
      this.#requests.push({ buffer, sizeBytes, resolve, reject });
    });
  }

  /** Submits the pending copies. Must run before a buffer that is being read is reused. */
  flush(): void {
    while (this.#requests.length > 0) {
      let count = 0, bytes = 0;
      while (count < this.#requests.length && (count === 0 || bytes + this.#requests[count].sizeBytes <= BATCH_BYTES)) {
        bytes += roundUp(this.#requests[count++].sizeBytes, 8);
      }
      const batch = this.#requests.splice(0, count);
      this.#readBatch(batch, bytes).catch((error) => batch.forEach(({ reject }) => reject(error)));
    }
  }

  async #readBatch(batch: readonly Request[], bytes: number): Promise<void> {
    const staging = this.#take(bytes);
    const encoder = this.#gpu.createCommandEncoder();
    const ranges: ByteRange[] = [];
    let offset = 0;
    for (const { buffer, sizeBytes } of batch) {
      encoder.copyBufferToBuffer(buffer, 0, staging, offset, roundUp(sizeBytes, 4));
      ranges.push({ offset, sizeBytes });
      offset += roundUp(sizeBytes, 8);
    }
    this.#gpu.queue.submit([encoder.finish()]);
    const copies = await readStaging(staging, ranges);
    if (staging.size > BATCH_BYTES) this.#destroy(staging);
    else this.#idle.push(staging);
    if (++this.#copies % COPIES_BEFORE_TURN === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    batch.forEach(({ resolve }, i) => resolve(copies[i]));
  }

  #take(bytes: number): GPUBuffer {
    const at = this.#idle.findIndex(({ size }) => size >= bytes);
    if (at >= 0) return this.#idle.splice(at, 1)[0];
    // One that is too small would never be used again by a program of this size.
    const small = this.#idle.pop();
    if (small) this.#destroy(small);
    this.created++;
    this.alive++;
    const size = bytes > BATCH_BYTES ? roundUp(bytes, 256) : 2 ** Math.ceil(Math.log2(Math.max(bytes, 4096)));
    return createBuffer(
      this.#gpu,
      this.#health,
      size,
      GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      "reading arrays",
      true,
    );
  }

  /** Destroys the staging buffers that are idle. */
  destroy(): void {
    this.flush();
    for (const staging of this.#idle) this.#destroy(staging);
    this.#idle = [];
  }

  #destroy(staging: GPUBuffer): void {
    this.alive--;
    staging.destroy();
  }
}

function roundUp(bytes: number, multiple: number): number {
  return Math.ceil(bytes / multiple) * multiple;
}

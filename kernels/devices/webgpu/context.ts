/** The state that arrays and programs of one WebGPU device share: its memory, its queue and its health. */
import { DeviceError } from "../../../core/errors.ts";
import { BufferPool, createBuffer, type PoolBuffer } from "./buffers.ts";
import { Health } from "./health.ts";
import { Pipelines } from "./pipelines.ts";
import { Reader } from "./reader.ts";

/** Counters of a device's resources. With repeated launches, only `submits` keeps growing. */
export interface WebGpuStats {
  /** Buffers created for arrays, programs and reads. */
  readonly buffersCreated: number;
  /** Bind groups created. */
  readonly bindGroupsCreated: number;
  /** Compiled kernels: those of loaded programs, and at most 64 more that later programs may use. */
  readonly pipelines: number;
  /** Buffers and textures that are not destroyed. */
  readonly buffersAlive: number;
  /** Bind groups in caches. */
  readonly bindGroupsAlive: number;
  /** Command buffers submitted. */
  readonly submits: number;
  /** Bytes of arrays, including free ones in the pool. */
  readonly arrayBytes: number;
  /** Bytes of free arrays in the pool. */
  readonly freeBytes: number;
  /** Bytes of textures through which programs read operands, in addition to the programs' planned memory. */
  readonly textureBytes: number;
}

/** Maximum bytes of uploads before a submit is forced: their staging memory is held until then. */
const UPLOADS_BEFORE_SUBMIT = 64 * 2 ** 20;

const NAN_BITS = 0x7fc00000;

/** The internals of a WebGPU device. */
export class GpuContext {
  readonly health: Health = new Health();
  readonly pipelines: Pipelines;
  /** Resources to dispose of with the device. */
  readonly programs: Set<{ dispose(): void }> = new Set();
  #pool: BufferPool;
  #reader: Reader;
  #bindGroups = 0;
  #submits = 0;
  #programBuffers = 0;
  #programBuffersAlive = 0;
  #bindGroupsAlive = 0;
  #textureBytes = 0;
  #uploadedBytes = 0;

  /**
   * @param poison Whether to fill memory with NaN before it is reused.
   * @param maxBufferBytes Maximum bytes of a buffer, a multiple of 256.
   */
  constructor(readonly gpu: GPUDevice, readonly poison: boolean, maxBufferBytes: number) {
    this.health.watch(gpu);
    this.pipelines = new Pipelines(gpu);
    this.#pool = new BufferPool(gpu, this.health, maxBufferBytes);
    this.#reader = new Reader(gpu, this.health);
  }

  /** Counters of the resources created so far. */
  get stats(): WebGpuStats {
    const { total, free } = this.#pool.bytes;
    return {
      buffersCreated: this.#pool.created + this.#reader.created + this.#programBuffers,
      bindGroupsCreated: this.#bindGroups,
      pipelines: this.pipelines.count,
      buffersAlive: this.#pool.alive + this.#reader.alive + this.#programBuffersAlive,
      bindGroupsAlive: this.#bindGroupsAlive,
      submits: this.#submits,
      arrayBytes: total,
      freeBytes: free,
      textureBytes: this.#textureBytes,
    };
  }

  /** A buffer from the pool, for an array. */
  acquire(sizeBytes: number): PoolBuffer {
    // A pending read may still need the buffer's content.
    this.#reader.flush();
    const buffer = this.#pool.acquire(sizeBytes);
    if (this.poison) this.fillWithNan(buffer.gpu, buffer.sizeBytes);
    return buffer;
  }

  /** Submits pending reads, before a launch changes what they read. */
  flushReads(): void {
    this.#reader.flush();
  }

  /** Returns a buffer to the pool. */
  release(buffer: PoolBuffer): void {
    this.#pool.release(buffer);
  }

  /** A buffer outside the pool, owned by a program. */
  createBuffer(size: number, usage: number, what: string): GPUBuffer {
    this.#programBuffers++;
    this.#programBuffersAlive++;
    return createBuffer(this.gpu, this.health, size, usage, what);
  }

  /** Frees a program's buffer. */
  destroyBuffer(buffer: GPUBuffer): void {
    this.#programBuffersAlive--;
    buffer.destroy();
  }

  /** A texture for kernels to read, owned by a program. */
  createTexture(format: GPUTextureFormat, width: number, height: number): GPUTexture {
    this.gpu.pushErrorScope("out-of-memory");
    const texture = this.gpu.createTexture({
      format,
      size: [width, height],
      usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST,
    });
    this.health.expect(this.gpu.popErrorScope(), "allocate device memory for the operands of kernels");
    this.#programBuffers++;
    this.#programBuffersAlive++;
    this.#textureBytes += bytesOf(texture);
    return texture;
  }

  /** Frees a program's texture. */
  destroyTexture(texture: GPUTexture): void {
    this.#textureBytes -= bytesOf(texture);
    this.#programBuffersAlive--;
    texture.destroy();
  }

  /** Makes a bind group. */
  createBindGroup(layout: GPUBindGroupLayout, entries: GPUBindGroupEntry[]): GPUBindGroup {
    this.#bindGroups++;
    this.#bindGroupsAlive++;
    return this.gpu.createBindGroup({ layout, entries });
  }

  /** Subtracts dropped bind groups from the counters; WebGPU frees them by itself. */
  dropBindGroups(count: number): void {
    this.#bindGroupsAlive -= count;
  }

  /**
   * Runs `fn` under an error scope, which takes less than a microsecond. An error is thrown at the device's next use,
   * including reads.
   */
  guard<T>(action: string, fn: () => T): T {
    this.gpu.pushErrorScope("validation");
    try {
      return fn();
    } finally {
      this.health.expect(this.gpu.popErrorScope(), action);
    }
  }

  /** Copies host bytes to the start of a buffer, in the order of submits. */
  write(buffer: GPUBuffer, bytes: ArrayBufferView<ArrayBuffer>): void {
    // An empty write crashes Deno. Large arrays go in parts, so that not all of one is staged at once.
    for (let start = 0; start < bytes.byteLength; start += UPLOADS_BEFORE_SUBMIT) {
      const size = Math.min(UPLOADS_BEFORE_SUBMIT, bytes.byteLength - start);
      this.gpu.queue.writeBuffer(buffer, start, bytes.buffer, bytes.byteOffset + start, size);
      this.#uploadedBytes += size;
      if (this.#uploadedBytes > UPLOADS_BEFORE_SUBMIT) this.submit();
    }
  }

  /** Fills a buffer with NaN. */
  fillWithNan(buffer: GPUBuffer, sizeBytes: number): void {
    this.write(buffer, new Uint32Array(sizeBytes / 4).fill(NAN_BITS));
  }

  /** Submits commands, or only pending writes. */
  submit(commands?: GPUCommandBuffer): void {
    this.gpu.queue.submit(commands ? [commands] : []);
    this.#uploadedBytes = 0;
    this.#submits++;
  }

  /**
   * Copies the first bytes of a buffer to the host, as of all work submitted so far.
   * @throws {DeviceError} if the device is lost, or anything that ran on it failed.
   */
  async read(buffer: GPUBuffer, sizeBytes: number): Promise<ArrayBuffer> {
    this.health.check();
    if (sizeBytes === 0) return new ArrayBuffer(0);
    try {
      const bytes = await this.#reader.read(buffer, sizeBytes);
      await this.health.settle();
      return bytes;
    } catch (error) {
      if (error instanceof DeviceError) throw error;
      // A report of device loss, or of the error that caused this one, may be pending.
      await new Promise((resolve) => setTimeout(resolve, 0));
      await this.health.settle();
      throw new DeviceError(
        `Cannot read from the WebGPU device: ${error instanceof Error ? error.message : error}`,
        "validation",
      );
    }
  }

  /** Frees everything. */
  dispose(): void {
    this.health.fail("disposed", "Cannot use the WebGPU device: it was disposed");
    this.#reader.destroy();
    for (const program of this.programs) program.dispose();
    this.pipelines.clear();
    this.#pool.destroy();
    this.gpu.destroy();
  }
}

function bytesOf({ format, width, height }: GPUTexture): number {
  return width * height * (format.startsWith("rgba") ? 16 : 4);
}

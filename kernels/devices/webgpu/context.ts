/** What arrays and programs of one WebGPU device share: its memory, its queue and its health. */
import { DeviceError } from "../../../core/errors.ts";
import { BufferPool, createBuffer, type PoolBuffer } from "./buffers.ts";
import { Health } from "./health.ts";
import { Pipelines } from "./pipelines.ts";
import { Reader } from "./reader.ts";

/** What a device has made so far: in a steady loop of launches only `submits` grows. */
export interface WebGpuStats {
  /** Buffers made, for arrays, programs and reads. */
  readonly buffersCreated: number;
  /** Bind groups made. */
  readonly bindGroupsCreated: number;
  /** Compiled kernels: those of the programs that are loaded, and at most 64 that later programs may use. */
  readonly pipelines: number;
  /** Buffers and textures that were made and not destroyed. */
  readonly buffersAlive: number;
  /** Bind groups that programs keep. */
  readonly bindGroupsAlive: number;
  /** Command buffers given to the queue. */
  readonly submits: number;
  /** Bytes of arrays, those free for later arrays included. */
  readonly arrayBytes: number;
  /** Bytes of arrays that were disposed and wait for later ones. */
  readonly freeBytes: number;
  /** Bytes of the textures through which programs read operands; they come on top of the programs' planned memory. */
  readonly textureBytes: number;
}

/** Bytes of uploads that may wait for a submit: their staging memory lives until then. */
const UPLOADS_BEFORE_SUBMIT = 64 * 2 ** 20;

const NAN_BITS = 0x7fc00000;

/** The inside of a WebGPU device. */
export class GpuContext {
  readonly health: Health = new Health();
  readonly pipelines: Pipelines;
  /** What must be disposed of with the device. */
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

  /** @param poison Whether memory is filled with NaN before it is used again. */
  constructor(readonly gpu: GPUDevice, readonly poison: boolean) {
    this.health.watch(gpu);
    this.pipelines = new Pipelines(gpu);
    this.#pool = new BufferPool(gpu, this.health);
    this.#reader = new Reader(gpu, this.health);
  }

  /** What was made so far. */
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

  /** A buffer of the pool, for an array. */
  acquire(sizeBytes: number): PoolBuffer {
    // The buffer may be one whose content is still awaited.
    this.#reader.flush();
    const buffer = this.#pool.acquire(sizeBytes);
    if (this.poison) this.fillWithNan(buffer.gpu, buffer.sizeBytes);
    return buffer;
  }

  /** Submits the copies of reads that wait: before a launch changes what they read. */
  flushReads(): void {
    this.#reader.flush();
  }

  /** Gives a buffer back to the pool. */
  release(buffer: PoolBuffer): void {
    this.#pool.release(buffer);
  }

  /** A buffer outside the pool, for a program. */
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

  /** A texture that kernels read, for a program. */
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

  /** Says that bind groups are kept no longer: WebGPU frees them by itself. */
  dropBindGroups(count: number): void {
    this.#bindGroupsAlive -= count;
  }

  /**
   * Runs `fn` under an error scope, which costs less than a microsecond: what WebGPU refuses is thrown at the device's
   * next use, reads included.
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
    // Deno's process dies of an empty write.
    if (bytes.byteLength === 0) return;
    this.gpu.queue.writeBuffer(buffer, 0, bytes);
    this.#uploadedBytes += bytes.byteLength;
    if (this.#uploadedBytes > UPLOADS_BEFORE_SUBMIT) this.submit();
  }

  /** Fills a buffer with NaN. */
  fillWithNan(buffer: GPUBuffer, sizeBytes: number): void {
    this.write(buffer, new Uint32Array(sizeBytes / 4).fill(NAN_BITS));
  }

  /** Submits commands, or only what was written. */
  submit(commands?: GPUCommandBuffer): void {
    this.gpu.queue.submit(commands ? [commands] : []);
    this.#uploadedBytes = 0;
    this.#submits++;
  }

  /**
   * Copies the first bytes of a buffer to the host, as they are after everything submitted so far.
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
      // The loss of the device, or the error that this one follows from, may be under way.
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

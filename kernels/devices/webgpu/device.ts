/** A WebGPU device: adapter, limits, memory and programs. */
import type { HostData, Type } from "../../../core/dtype.ts";
import { DeviceError, invariant } from "../../../core/errors.ts";
import { formatType } from "../../../core/shape.ts";
import { checkOptions, optionNames } from "../../../core/options.ts";
import type { CompileWatch, DeviceInfo, DeviceLimits, LoadedProgram } from "../../device.ts";
import { checkLength, toDeviceBytes } from "../../host_data.ts";
import { kernelKey } from "../../kernel_key.ts";
import { excessOf, piecesOf } from "../../limits.ts";
import type { KernelStep, ValueId } from "../../plan.ts";
import { PhaseTimer } from "../../phases.ts";
import type { TileSize } from "../../tiling/large.ts";
import { BaseDevice } from "../base_device.ts";
import { WebGpuArray } from "./array.ts";
import type { PoolBuffer } from "./buffers.ts";
import { flattenSteps } from "./commands.ts";
import { GpuContext, type WebGpuStats } from "./context.ts";
import type { CompiledKernel } from "./bound_kernel.ts";
import { WebGpuExecutable } from "./executor.ts";
import { gpuSpecOf } from "./gpu_specs.ts";
import { fence, placeOf, prepareEnvironment, webgpu } from "./host.ts";
import { loadTexels, partsFor } from "./parts.ts";
import type { Pieces } from "./print_pieces.ts";
import { type Printer, printerWith, type PrintTarget, type WgslKernel } from "./print_wgsl.ts";

/** Options of {@link requestWebGpuDevice}. */
export interface WebGpuOptions {
  /** Which adapter to prefer if there are several. Default: the fast one. */
  readonly powerPreference?: "high-performance" | "low-power";
  /**
   * The directory in which the driver caches compiled shaders, so that later processes can reuse them. It must exist or
   * its parent must. Supported by Mesa and NVIDIA on Linux; other drivers ignore it. Applies to the first adapter of a
   * process. Default: the driver's own.
   */
  readonly shaderCacheDirectory?: string;
  /**
   * Fills memory with NaN before it is reused, so that reads of unwritten memory become visible. Slow; for tests.
   * Default: false.
   */
  readonly poison?: boolean;
  /**
   * A replacement for the kernel printer, for tests of the device alone.
   * @internal
   */
  readonly printer?: Printer;
}

const WEBGPU_OPTIONS = optionNames<WebGpuOptions>({
  powerPreference: true,
  shaderCacheDirectory: true,
  poison: true,
  printer: true,
});

/**
 * Opens a WebGPU adapter.
 * @throws {DeviceError} with reason `unavailable` if there is none, with a message that says what to install; with
 * reason `validation` if a shader cache is requested and the environment may not be set.
 */
export async function requestWebGpuDevice(options: WebGpuOptions = {}): Promise<WebGpuDevice> {
  checkOptions("requestWebGpuDevice", options, WEBGPU_OPTIONS);
  prepareEnvironment(options.shaderCacheDirectory);
  const adapter = await webgpu()?.requestAdapter({ powerPreference: options.powerPreference ?? "high-performance" });
  if (!adapter) {
    const { unavailableText } = await import("./unavailable.ts");
    throw new DeviceError(unavailableText(placeOf()), "unavailable");
  }
  const { limits, features } = adapter;
  const requiredFeatures = (["timestamp-query"] as const).filter((feature) => features.has(feature));
  const gpu = await adapter.requestDevice({
    requiredFeatures,
    requiredLimits: {
      maxStorageBuffersPerShaderStage: Math.min(16, limits.maxStorageBuffersPerShaderStage),
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxBufferSize: limits.maxBufferSize,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
    },
  });
  return new WebGpuDevice(gpu, adapter.info, options);
}

/** The result of a promise, unless a signal aborts the wait first: a late result then goes to `unwanted`. */
async function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  unwanted: (value: T) => void,
): Promise<T> {
  if (!signal) return await promise;
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop);
  });
  try {
    return await Promise.race([promise, aborted]);
  } catch (error) {
    promise.then(unwanted, () => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
    aborted.catch(() => {});
  }
}

function describe(info: GPUAdapterInfo): DeviceInfo {
  const description = info.description || [info.vendor, info.architecture, info.device].filter(Boolean).join(" ") ||
    "WebGPU adapter";
  const names = [info.description, info.vendor, info.architecture, info.device].join(" ");
  const software = info.isFallbackAdapter === true ||
    /llvmpipe|lavapipe|swiftshader|basic render|software|\bcpu\b/i.test(names);
  const { peak } = gpuSpecOf(description) ?? {};
  return { kind: "webgpu", description, software, ...(peak ? { peak } : {}) };
}

/** The limits of an adapter: those of all devices, and WebGPU's under their own names. */
export interface WebGpuLimits extends DeviceLimits {
  /** Maximum bytes of a binding. */
  readonly maxBindingBytes: number;
  /** Maximum bytes of a buffer, before alignment. */
  readonly maxBufferSize: number;
  /** Maximum invocations of a workgroup. */
  readonly maxComputeInvocationsPerWorkgroup: number;
  /** Maximum bytes of a workgroup's memory. */
  readonly maxComputeWorkgroupStorageSize: number;
  /** Maximum workgroups along a dimension of a dispatch. */
  readonly maxComputeWorkgroupsPerDimension: number;
}

/** Kernels count elements in i32, and may count a few beyond the last one. */
const MAX_ELEMENTS = 2 ** 31 - 65536;

/** Large enough to occupy a GPU at each dispatch, small enough for the second-level cache of most. */
const TILE: TileSize = { elements: 2 ** 21, rows: 64, recomputed: 2 ** 24 };

function limitsOf(limits: GPUSupportedLimits): WebGpuLimits {
  // A binding alignment that every adapter supports, so that plans are the same on all of them.
  const alignmentBytes = 256, aligned = (bytes: number) => Math.floor(bytes / alignmentBytes) * alignmentBytes;
  const maxBufferBytes = aligned(limits.maxBufferSize);
  return {
    maxOperands: limits.maxStorageBuffersPerShaderStage,
    maxTensorBytes: maxBufferBytes,
    maxElements: MAX_ELEMENTS,
    maxBindingBytes: Math.min(maxBufferBytes, aligned(limits.maxStorageBufferBindingSize)),
    maxBufferBytes,
    alignmentBytes,
    lanes: 4,
    tile: TILE,
    maxBufferSize: limits.maxBufferSize,
    maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
    maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
  };
}

/** A WebGPU device. Made by {@link requestWebGpuDevice}. */
export class WebGpuDevice extends BaseDevice {
  /** Kind and description of the adapter. */
  readonly info: DeviceInfo;
  /** Programs are scheduled and planned before they are loaded. */
  readonly needsPlan = true;
  /** Limits that programs must respect. */
  readonly limits: WebGpuLimits;
  #context: GpuContext;
  #printer?: Printer;

  /** Use {@link requestWebGpuDevice}. */
  constructor(readonly gpu: GPUDevice, info: GPUAdapterInfo, options: WebGpuOptions) {
    super();
    checkOptions("WebGpuDevice", options, WEBGPU_OPTIONS);
    const { poison = false, printer } = options;
    this.info = describe(info);
    this.limits = limitsOf(gpu.limits);
    this.#printer = printer;
    this.#context = new GpuContext(gpu, poison, this.limits.maxBufferBytes);
  }

  /** Counters of the resources created so far. */
  get stats(): WebGpuStats {
    return this.#context.stats;
  }

  /**
   * Copies a host array to device memory.
   * @throws {ShapeError} if the length does not match; {DeviceError} if it is larger than a buffer of the device.
   */
  upload(data: HostData, type: Type): WebGpuArray {
    this.#context.health.check();
    checkLength(data, type, "upload");
    const bytes = toDeviceBytes(data, type.dtype);
    const excess = excessOf(type, bytes.byteLength, this.limits);
    if (excess) {
      throw new DeviceError(
        `Cannot upload ${formatType(type)}: ${excess} on this device; use a smaller batch or split the array`,
        "limit",
      );
    }
    const buffer = this.#context.acquire(Math.max(4, bytes.byteLength));
    this.#context.write(buffer.gpu, bytes);
    return new WebGpuArray(this, this.#context, buffer, [...type.shape], type.dtype);
  }

  /**
   * Loads a plan.
   * @throws {CompileError} if the device's compiler rejects a kernel; {DeviceError} if there is not enough memory.
   * @internal
   */
  async load({ plan, donated = [], progress, signal, phase }: LoadedProgram): Promise<WebGpuExecutable> {
    this.#context.health.check();
    invariant(plan, "a program without a plan on a WebGPU device");
    const timer = new PhaseTimer(phase);
    const commands = flattenSteps(plan.steps);
    const compiled = this.#compile(commands.steps, { progress, signal }, timer);
    const release = ({ kernels }: { readonly kernels: readonly CompiledKernel[] }): void =>
      kernels.forEach(({ wgsl }) => this.#context.pipelines.release(wgsl.source, wgsl.bindings));
    // After an abort, a program that finishes compiling has no owner.
    const { kernels, sources } = await unlessAborted(compiled, signal, release);
    timer.end("compile");
    const releasePipelines = (): void => release({ kernels });
    const readsTexels = kernels.some(({ wgsl }) => wgsl.bindings.some(({ texels }) => texels));
    const texels = readsTexels ? await loadTexels() : undefined;
    this.#context.health.check();
    const constants = new Map<ValueId, PoolBuffer>();
    for (const { id, storage, type, sizeBytes } of plan.values) {
      if (storage.kind !== "constant") continue;
      const buffer = this.#context.acquire(sizeBytes);
      this.#context.write(buffer.gpu, toDeviceBytes(storage.data, type.dtype));
      constants.set(id, buffer);
    }
    const program = new WebGpuExecutable(this, this.#context, {
      plan,
      donated,
      commands,
      kernels,
      sources,
      constants,
      texels,
      releasePipelines,
    });
    try {
      await this.#context.health.settle();
    } catch (error) {
      program.dispose();
      throw error;
    }
    timer.end("start");
    return program;
  }

  /** Prints and compiles the kernels of steps concurrently; equal texts are compiled once. */
  async #compile(
    steps: readonly KernelStep[],
    { progress, signal }: CompileWatch,
    timer: PhaseTimer,
  ): Promise<{ kernels: CompiledKernel[]; sources: string[] }> {
    const { limits } = this;
    const target: PrintTarget = {
      style: this.info.software ? "software" : "gpu",
      maxWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
      maxInvocations: limits.maxComputeInvocationsPerWorkgroup,
      maxWorkgroupBytes: limits.maxComputeWorkgroupStorageSize,
      pieces: await piecesFor(steps, limits.maxBindingBytes),
      // llvmpipe gathers texels, but loads the elements of a buffer one by one (print_texels.ts).
      texels: /llvmpipe|lavapipe/i.test(this.info.description) ? "worthwhile" : undefined,
    };
    const numbers = new Map<string, number>(), print = this.#printer ?? await printOnce(steps, target);
    const printed = steps.map(({ kernel }): { wgsl: WgslKernel; shader: number } => {
      const wgsl = print(kernel, target);
      const shader = numbers.get(wgsl.source) ?? numbers.size;
      numbers.set(wgsl.source, shader);
      return { wgsl, shader };
    });
    timer.end("print");
    const { pipelines } = this.#context, done = new Set<number>();
    const finish = (shader: number): void => {
      if (done.has(shader)) return;
      done.add(shader);
      // After an abort, nothing awaits the remaining compilations.
      if (!signal?.aborted) progress?.(done.size, numbers.size);
    };
    const made = await Promise.allSettled(
      printed.map(({ wgsl, shader }, i) =>
        pipelines.acquire(wgsl.source, wgsl.bindings, steps[i].kernel.origins).finally(() => finish(shader))
      ),
    );
    const failed = made.find((result) => result.status === "rejected");
    if (failed) {
      printed.forEach(({ wgsl }) => pipelines.release(wgsl.source, wgsl.bindings));
      throw failed.reason;
    }
    const kernels = printed.map(({ wgsl, shader }, i): CompiledKernel => {
      const pipeline = (made[i] as PromiseFulfilledResult<GPUComputePipeline>).value;
      return { wgsl, shader, pipeline, layout: pipelines.layout(wgsl.bindings).operands };
    });
    return { kernels, sources: [...numbers.keys()] };
  }

  /** Waits for all launched work. */
  async synchronize(): Promise<void> {
    this.#context.health.check();
    await fence(this.gpu.queue);
    await this.#context.health.settle();
  }

  /** Frees everything. Later calls throw. */
  dispose(): void {
    this.#context.dispose();
  }
}

/** How operands above one binding are printed, imported for programs that have some. */
async function piecesFor(steps: readonly KernelStep[], bytes: number): Promise<Pieces | undefined> {
  const hasSome = steps.some(({ kernel }) => kernel.operands.some((operand) => piecesOf(operand, bytes) > 1));
  return hasSome ? new (await import("./print_pieces.ts")).Pieces(bytes) : undefined;
}

/** A printer for the kernels of steps and one target that caches by kernel. */
async function printOnce(steps: readonly KernelStep[], { texels }: PrintTarget): Promise<Printer> {
  const byKey = new Map<string, WgslKernel>();
  const print = printerWith(await partsFor(steps.map(({ kernel }) => kernel), texels !== undefined));
  return (kernel, target) => {
    const key = kernelKey(kernel), wgsl = byKey.get(key) ?? print(kernel, target);
    byKey.set(key, wgsl);
    return wgsl;
  };
}

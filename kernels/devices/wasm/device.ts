/** The cpu device: kernels as WebAssembly on all cores. */
import type { HostData, Type } from "../../../core/dtype.ts";
import { CompileError, DeviceError, invariant } from "../../../core/errors.ts";
import { checkOptions, optionNames } from "../../../core/options.ts";
import type { DeviceInfo, DeviceLimits, LoadedProgram } from "../../device.ts";
import { checkLength, toDeviceBytes } from "../../host_data.ts";
import { PhaseTimer } from "../../phases.ts";
import { BaseDevice } from "../base_device.ts";
import { CpuArray } from "../host_memory/array.ts";
import { ALIGNMENT_BYTES } from "../host_memory/memory.ts";
import { SharedRange } from "../host_memory/shared_range.ts";
import { CpuExecutable } from "./executor.ts";
import { type CpuFeatures, findFeatures } from "./features.ts";
import { CpuMemory } from "./memory.ts";
import { makeModule } from "./module.ts";
import { type ProgramExports, Threads } from "./threads.ts";

/** Options of {@link requestCpuDevice}. */
export interface CpuOptions {
  /** Number of threads, including the caller's. Default: one per CPU core. Results do not depend on it. */
  readonly threads?: number;
  /**
   * Whether to use the relaxed multiply-add, which rounds once on most machines. Default: if the engine supports it.
   */
  readonly relaxed?: boolean;
  /** Whether to share memory with workers. Default: if the engine supports it. */
  readonly shared?: boolean;
  /**
   * Fills memory with NaN before it is reused, so that reads of unwritten memory become visible. Slow; for tests.
   * Default: false.
   */
  readonly poison?: boolean;
}

const CPU_OPTIONS = optionNames<CpuOptions>({ threads: true, relaxed: true, shared: true, poison: true });

/**
 * Opens the CPU as a device.
 * @throws {DeviceError} with reason `unavailable` if WebAssembly has no SIMD.
 */
export async function requestCpuDevice(options: CpuOptions = {}): Promise<CpuDevice> {
  checkOptions("requestCpuDevice", options, CPU_OPTIONS);
  const found = findFeatures();
  if (!found.simd) {
    throw new DeviceError(
      'Cannot open the device "cpu": this runtime has no WebAssembly SIMD; use a newer one, or "webgpu" or "reference"',
      "unavailable",
    );
  }
  const features = {
    ...found,
    relaxed: found.relaxed && options.relaxed !== false,
    shared: found.shared && options.shared !== false,
  };
  const memory = new CpuMemory(features.shared, options.poison ?? false);
  const threads = await Threads.start(memory, options.threads ?? features.processors, features.blocking);
  return new CpuDevice(features, memory, threads);
}

/** A device that computes with WebAssembly. Made by {@link requestCpuDevice}. */
export class CpuDevice extends BaseDevice {
  /** Kind and description of the device. */
  readonly info: DeviceInfo;
  /** Programs are scheduled and planned before they are loaded. */
  readonly needsPlan = true;
  /** Limits that programs must respect. */
  readonly limits: DeviceLimits = {
    // Arguments are cheap, but their number is limited.
    maxOperands: 64,
    // Byte offsets of elements must fit in 31 bits.
    maxTensorBytes: 2 ** 31 - 65536,
    // Arenas are never split.
    maxBufferBytes: Infinity,
    alignmentBytes: ALIGNMENT_BYTES,
    lanes: 4,
  };
  #features: CpuFeatures;
  #memory: CpuMemory;
  #arena: SharedRange;
  #scratch: SharedRange;
  #threads: Threads;
  #programs = 0;
  #disposed = false;

  /** Use {@link requestCpuDevice}. */
  constructor(features: CpuFeatures, memory: CpuMemory, threads: Threads) {
    super();
    this.#features = features;
    this.#memory = memory;
    this.#arena = new SharedRange(memory);
    this.#scratch = new SharedRange(memory);
    this.#threads = threads;
    const count = `${threads.count} thread${threads.count === 1 ? "" : "s"}`;
    this.info = {
      kind: "cpu",
      description: `WebAssembly SIMD${features.relaxed ? " with fused multiply-add" : ""}, ${count}`,
      software: true,
    };
  }

  /** Number of threads. */
  get threadCount(): number {
    return this.#threads.count;
  }

  /** Peak of the bytes allocated for arrays and programs. */
  get highWaterBytes(): number {
    return this.#memory.highWaterBytes;
  }

  #check(): void {
    if (this.#disposed) throw new DeviceError("Cannot use the cpu device: it was disposed", "disposed");
  }

  /**
   * Copies a host array to device memory.
   * @throws {ShapeError} if the length does not match; {DeviceError} if there is not enough memory.
   */
  upload(data: HostData, type: Type): CpuArray {
    this.#check();
    checkLength(data, type, "upload");
    const bytes = toDeviceBytes(data, type.dtype);
    const array = new CpuArray(
      this,
      this.#memory,
      this.#memory.allocate(bytes.byteLength),
      [...type.shape],
      type.dtype,
    );
    this.#memory.bytes(array.storage, bytes.byteLength).set(
      new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    );
    return array;
  }

  /**
   * Loads a plan.
   * @throws {CompileError} if it uses f16; {DeviceError} if there is not enough memory.
   * @internal
   */
  async load({ plan, donated = [], phase }: LoadedProgram): Promise<CpuExecutable> {
    this.#check();
    invariant(plan, "a program without a plan on a cpu device");
    const timer = new PhaseTimer(phase);
    const made = makeModule(plan, {
      relaxed: this.#features.relaxed,
      shared: this.#memory.shared,
      threads: this.#threads.count,
    });
    timer.end("print");
    let module: WebAssembly.Module;
    try {
      module = await WebAssembly.compile(made.bytes);
    } catch (error) {
      throw new CompileError(
        `The engine refuses a WebAssembly module of ${made.bytes.length} bytes: ${
          error instanceof Error ? error.message : error
        }`,
      );
    }
    timer.end("compile");
    const { exports } = await WebAssembly.instantiate(module, { m: { m: this.#memory.wasm } });
    const id = this.#programs++;
    if (made.program.parallel) await this.#threads.add(id, module);
    this.#check();
    const context = {
      device: this,
      memory: this.#memory,
      arena: this.#arena,
      scratch: this.#scratch,
      threads: this.#threads,
      threadCount: this.#threads.count,
      check: () => this.#check(),
    };
    const program = new CpuExecutable(context, {
      plan,
      donated,
      module: made,
      exports: exports as ProgramExports,
      id,
    });
    timer.end("start");
    return program;
  }

  /** Does nothing: launches are synchronous. */
  synchronize(): Promise<void> {
    this.#check();
    return Promise.resolve();
  }

  /** Terminates the workers. Later calls throw. */
  dispose(): void {
    this.#disposed = true;
    this.#threads.stop();
  }
}

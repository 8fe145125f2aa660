/** The cpu device: kernels as WebAssembly on all cores. */
import { CompileError, DeviceError, invariant } from "../../../core/errors.ts";
import { checkOptions, optionNames } from "../../../core/options.ts";
import type { LoadedProgram } from "../../device.ts";
import { PhaseTimer } from "../../phases.ts";
import { HostMemoryDevice } from "../host_memory/device.ts";
import { CpuExecutable } from "./executor.ts";
import { type CpuFeatures, findFeatures } from "./features.ts";
import { CpuMemory } from "./memory.ts";
import { makeModule } from "./module.ts";
import { type ProgramExports, Threads } from "./threads.ts";

/** Options of {@link requestCpuDevice}. */
export interface CpuOptions {
  /**
   * Number of threads, including the caller's, which start at once. Default: one per CPU core, which start when a
   * program is large enough or has run often enough. Results do not depend on it.
   */
  readonly threads?: number;
  /**
   * Whether to use the relaxed multiply-add, which rounds once on most machines. Default: if the engine supports it.
   */
  readonly relaxed?: boolean;
  /** Whether to share memory with workers. Default: if the engine supports it. */
  readonly shared?: boolean;
  /**
   * Operations and bytes moved below which a kernel runs on one thread; a program of small kernels that need each other
   * runs on one as a whole. Default: 20,000.
   */
  readonly minParallel?: number;
  /**
   * Fills memory with NaN before it is reused, so that reads of unwritten memory become visible. Slow; for tests.
   * Default: false.
   */
  readonly poison?: boolean;
}

const CPU_OPTIONS = optionNames<CpuOptions>({
  threads: true,
  relaxed: true,
  shared: true,
  minParallel: true,
  poison: true,
});

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
  const threads = new Threads(memory, options.threads ?? features.processors, features.blocking);
  if (options.threads !== undefined) await threads.start();
  return new CpuDevice(features, memory, threads, options.minParallel);
}

/** A device that computes with WebAssembly. Made by {@link requestCpuDevice}. */
export class CpuDevice extends HostMemoryDevice {
  #features: CpuFeatures;
  #memory: CpuMemory;
  #threads: Threads;
  #minParallel: number | undefined;
  #programs = 0;

  /** Use {@link requestCpuDevice}. */
  constructor(features: CpuFeatures, memory: CpuMemory, threads: Threads, minParallel?: number) {
    super({
      kind: "cpu",
      description: `WebAssembly SIMD${features.relaxed ? " with fused multiply-add" : ""}`,
      memory,
      maxMemoryBytes: memory.limitBytes,
      threadCount: threads.count,
      lanes: 4,
    });
    this.#features = features;
    this.#memory = memory;
    this.#threads = threads;
    this.#minParallel = minParallel;
  }

  /**
   * Loads a plan.
   * @throws {DeviceError} if there is not enough memory.
   * @internal
   */
  async load({ plan, donated = [], phase }: LoadedProgram): Promise<CpuExecutable> {
    this.check();
    invariant(plan, "a program without a plan on a cpu device");
    const timer = new PhaseTimer(phase);
    const made = makeModule(plan, {
      relaxed: this.#features.relaxed,
      shared: this.#memory.shared,
      threads: this.#threads.count,
      minParallel: this.#minParallel,
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
    if (made.program.parallel) await this.#threads.add(id, module, made.program.parallelWork);
    this.check();
    const context = { ...this.context, memory: this.#memory, threads: this.#threads };
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

  /** Terminates the workers. */
  protected stop(): void {
    this.#threads.stop();
  }
}

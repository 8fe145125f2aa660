/** The native device: kernels as C, compiled by the system's compiler, on all cores. */
import { invariant } from "../../../core/errors.ts";
import { checkOptions, optionNames } from "../../../core/options.ts";
import { layThreadProgram } from "../../codegen/thread_program.ts";
import type { LoadedProgram } from "../../device.ts";
import { PhaseTimer } from "../../phases.ts";
import { HostMemoryDevice } from "../host_memory/device.ts";
import { C_FLAGS, preludeOf } from "./c_prelude.ts";
import { NativeExecutable } from "./executor.ts";
import { KernelLibrary } from "./kernel_library.ts";
import { KernelTexts } from "./kernel_texts.ts";
import { NativeMemory } from "./memory.ts";
import { CACHE_FOLDER, openToolchain } from "./open_toolchain.ts";
import { KERNEL_NAME } from "./print_kernel.ts";
import { Runtime } from "./runtime.ts";
import { type NativeTarget, nativeTarget } from "./target.ts";

/** Options of {@link requestNativeDevice}. */
export interface NativeOptions {
  /** Threads that compute, the caller's among them. Default: one for each processor. Results do not depend on it. */
  readonly threads?: number;
  /** The command of the C compiler. Default: what CC says, else the first that works of cc, gcc, clang and zig cc. */
  readonly compiler?: string;
  /** The folder in which compiled kernels are kept. Default: `runs/.native` in the working directory. */
  readonly cacheDirectory?: string;
  /** The most that this folder holds, in bytes. What was not used for the longest time goes first. Default: 256 MiB. */
  readonly cacheBytes?: number;
  /** The most lanes of a vector: 4, 8 or 16. Default: those of the processor. Results depend on it by rounding. */
  readonly maxLanes?: number;
  /** Operations and bytes moved below which a kernel runs on one thread. Default: 20,000. */
  readonly minParallel?: number;
  /**
   * Fills memory with NaN before it is used again, so that reads of unwritten memory show. Slow; for tests. Default:
   * false.
   */
  readonly poison?: boolean;
}

const NATIVE_OPTIONS = optionNames<NativeOptions>({
  threads: true,
  compiler: true,
  cacheDirectory: true,
  cacheBytes: true,
  maxLanes: true,
  minParallel: true,
  poison: true,
});

/** Work below which a kernel runs on one thread: starting all costs more. */
const MIN_PARALLEL = 20000;

/**
 * Opens the machine's CPU as a device whose kernels a C compiler makes. Deno only: it takes the permissions to run the
 * compiler, and to read, write and open (`--allow-ffi`) what is in the cache folder.
 * @throws {DeviceError} with reason `unavailable` where there is no compiler, or something is not permitted; the text
 * says what to do.
 */
export async function requestNativeDevice(options: NativeOptions = {}): Promise<NativeDevice> {
  checkOptions("requestNativeDevice", options, NATIVE_OPTIONS);
  const { compiler, cacheDirectory = CACHE_FOLDER, cacheBytes = 256 * 2 ** 20, poison = false } = options;
  const processors = globalThis.navigator?.hardwareConcurrency ?? 1, threads = options.threads ?? processors;
  const targetOf = (macros: string) => nativeTarget(macros, { maxLanes: options.maxLanes, threads });
  const { toolchain, cache, runtime } = await openToolchain({
    compiler,
    folder: cacheDirectory,
    limitBytes: cacheBytes,
    contentOf: ({ macros }) => [...C_FLAGS, preludeOf(targetOf(macros))].join("\0"),
  });
  const target = targetOf(toolchain.macros), memory = new NativeMemory(poison);
  const library = new KernelLibrary({
    toolchain,
    cache,
    flags: C_FLAGS,
    prelude: preludeOf(target),
    placeholder: KERNEL_NAME,
    processes: processors,
  });
  return new NativeDevice({
    target,
    memory,
    library,
    runtime: new Runtime(runtime, memory.buffer, threads),
    description: `C by ${toolchain.command.join(" ")} for ${target.instructions}`,
    minParallel: options.minParallel ?? MIN_PARALLEL,
  });
}

/** What a native device is made of. */
export interface NativeParts {
  readonly target: NativeTarget;
  readonly memory: NativeMemory;
  readonly library: KernelLibrary;
  readonly runtime: Runtime;
  /** The compiler and the processor's instructions. */
  readonly description: string;
  /** Work below which a kernel runs on one thread. */
  readonly minParallel: number;
}

/** A device that computes with compiled C. Made by {@link requestNativeDevice}. */
export class NativeDevice extends HostMemoryDevice {
  #target: NativeTarget;
  #library: KernelLibrary;
  #runtime: Runtime;
  #minParallel: number;

  /**
   * Use {@link requestNativeDevice}.
   * @internal
   */
  constructor({ target, memory, library, runtime, description, minParallel }: NativeParts) {
    super({ kind: "native", description, memory, threadCount: runtime.threadCount, lanes: target.lanes });
    this.#target = target;
    this.#library = library;
    this.#runtime = runtime;
    this.#minParallel = minParallel;
  }

  /** Compiled objects that programs use at present. */
  get openObjects(): number {
    return this.#library.objectCount;
  }

  /**
   * Loads a plan.
   * @throws {CompileError} if the compiler refuses a kernel; {DeviceError} if there is not the memory
   * for it, or the cache cannot be written.
   * @internal
   */
  async load({ plan, donated = [], progress, signal, phase }: LoadedProgram): Promise<NativeExecutable> {
    this.check();
    invariant(plan, "a program without a plan on a native device");
    const timer = new PhaseTimer(phase), texts = new KernelTexts(this.#target);
    const program = layThreadProgram(plan, {
      functionOf: (kernel) => texts.functionOf(kernel),
      threads: this.threadCount,
      minParallel: this.#minParallel,
    });
    const { texts: sources, scratchBytes } = texts;
    timer.end("print");
    const functions = await this.#library.load(sources, { progress, signal });
    timer.end("compile");
    try {
      this.check();
      const context = { ...this.context, runtime: this.#runtime };
      const executable = new NativeExecutable(context, { plan, donated, program, scratchBytes, sources, functions });
      timer.end("start");
      return executable;
    } catch (error) {
      functions.release();
      throw error;
    }
  }

  /** Ends the threads and closes the objects. */
  protected stop(): void {
    this.#runtime.stop();
    this.#library.dispose();
  }
}

/** The runtime in C: threads and programs. */
import { DeviceError } from "../../../core/errors.ts";
import { type OpenObject, openObject, type Pointer } from "./host.ts";
import type { EncodedProgram } from "./encode_program.ts";

const FUNCTIONS = {
  acquire: { parameters: ["i32"], result: "i32" },
  release: { parameters: [], result: "void" },
  adopt: { parameters: ["buffer", "f64"], result: "pointer" },
  load: { parameters: ["buffer", "buffer", "buffer"], result: "pointer" },
  unload: { parameters: ["pointer"], result: "void" },
  launch: { parameters: ["pointer", "pointer", "buffer", "i32"], result: "void" },
  profile: { parameters: ["pointer", "pointer", "buffer", "i32", "buffer"], result: "void" },
} as const;

/** Checks that a compiled runtime can be opened. @throws {Error} if it cannot. */
export function checkRuntime(path: string): void {
  openObject(path, FUNCTIONS).close();
}

/** A launch: a program, the words of its table, and whether all threads take part. */
export interface Launch {
  readonly program: Pointer;
  readonly table: Float64Array;
  readonly parallel: boolean;
}

/** The threads of a device. */
export class Runtime {
  /** Threads that work on a launch, the caller's among them. */
  readonly threadCount: number;
  readonly #object: OpenObject<typeof FUNCTIONS>;
  /** Where the memory starts, for C. */
  readonly #base: Pointer;
  /** Keeps the memory alive as long as C may use it. */
  readonly #memory: Uint8Array;
  readonly #programs = new Set<Pointer>();
  #stopped = false;

  /**
   * @param path Where the compiled runtime is.
   * @param threads How many threads are wanted; there may be fewer.
   * @throws {Error} if it cannot be opened.
   */
  constructor(path: string, memory: SharedArrayBuffer, threads: number) {
    this.#object = openObject(path, FUNCTIONS);
    this.#memory = new Uint8Array(memory);
    this.#base = this.#object.symbols.adopt(this.#memory, memory.maxByteLength);
    this.threadCount = this.#object.symbols.acquire(threads);
  }

  /**
   * Hands a program over.
   * @param kernels The addresses of its functions.
   * @throws {DeviceError} if there is not the memory for it.
   */
  load(program: EncodedProgram, kernels: BigUint64Array, scratchBytes: number): Pointer {
    const { words, counters, mostOperands, mostLoops } = program;
    const sizes = Float64Array.of(scratchBytes, counters, mostOperands, mostLoops, kernels.length, words.length);
    const loaded = this.#object.symbols.load(sizes, kernels, words);
    if (loaded) {
      this.#programs.add(loaded);
      return loaded;
    }
    throw new DeviceError(
      'Cannot load a program on the device "native": the machine has no more memory',
      "out-of-memory",
    );
  }

  /** Forgets a program. */
  unload(program: Pointer): void {
    if (this.#programs.delete(program)) this.#object.symbols.unload(program);
  }

  /** Runs a program; returns when all is done. */
  launch({ program, table, parallel }: Launch): void {
    this.#object.symbols.launch(program, this.#base, table, parallel ? this.threadCount : 1);
  }

  /** Runs a program and adds the nanoseconds of each step to `times`. */
  profile({ program, table, parallel }: Launch, times: Float64Array): void {
    this.#object.symbols.profile(program, this.#base, table, parallel ? this.threadCount : 1, times);
  }

  /** Ends the threads, unless another device has some, and forgets all programs. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const program of this.#programs) this.unload(program);
    this.#object.symbols.release();
    this.#object.close();
  }
}

/** Runs a plan's compiled kernels on all threads. */
import { type HostMemoryContext, HostMemoryExecutable, type LaidProgram } from "../host_memory/executable.ts";
import { encodeProgram } from "./encode_program.ts";
import type { Pointer } from "./host.ts";
import type { LoadedFunctions } from "./kernel_library.ts";
import type { Launch, Runtime } from "./runtime.ts";

/** What an executable shares with its device. */
export interface NativeContext extends HostMemoryContext {
  readonly runtime: Runtime;
}

/** A plan on a native device. */
export class NativeExecutable extends HostMemoryExecutable {
  /** Texts of the distinct kernels. */
  readonly sources: readonly string[];
  protected readonly table: Float64Array<ArrayBuffer>;
  readonly #runtime: Runtime;
  readonly #functions: LoadedFunctions;
  readonly #loaded: Pointer;
  readonly #launch: Launch;

  /** @param functions Where the functions of `sources` are, which the executable takes over. */
  constructor(
    context: NativeContext,
    laid: LaidProgram & { readonly sources: readonly string[]; readonly functions: LoadedFunctions },
  ) {
    super(context, laid);
    const { program, scratchBytes, sources, functions } = laid;
    this.sources = sources;
    this.#runtime = context.runtime;
    this.#functions = functions;
    this.table = new Float64Array(program.table.words);
    this.#loaded = context.runtime.load(encodeProgram(program), functions.addresses, scratchBytes);
    this.#launch = { program: this.#loaded, table: this.table, parallel: program.parallel };
  }

  protected runAll(): void {
    this.#runtime.launch(this.#launch);
  }

  protected timeSteps(times: number[]): void {
    const measured = new Float64Array(times.length);
    this.#runtime.profile(this.#launch, measured);
    measured.forEach((time, i) => times[i] += time);
  }

  protected release(): void {
    this.#runtime.unload(this.#loaded);
    this.#functions.release();
  }
}

/** Runs a plan's module on all threads. */
import { type HostMemoryContext, HostMemoryExecutable, type LaidProgram } from "../host_memory/executable.ts";
import type { DeviceArray } from "../../device.ts";
import type { Step } from "../../plan.ts";
import type { CpuMemory } from "./memory.ts";
import type { CpuModule } from "./module.ts";
import { MAX_LOOPS, type ProgramExports, type Threads } from "./threads.ts";
import { printFunction } from "../../codegen/wasm_encoder.ts";

/** The state that executables share with their device. */
export interface CpuContext extends HostMemoryContext {
  readonly memory: CpuMemory;
  readonly threads: Threads;
}

/** A plan loaded on a cpu device. */
export class CpuExecutable extends HostMemoryExecutable {
  #memory: CpuMemory;
  #threads: Threads;
  #plan: LaidProgram["plan"];
  #module: CpuModule;
  #exports: ProgramExports;
  #id: number;
  #table: number;
  #words: Int32Array;
  #sources: readonly string[] | undefined;

  /** @param id The number by which workers identify the module. */
  constructor(
    context: CpuContext,
    { plan, donated, module, exports, id }: Pick<LaidProgram, "plan" | "donated"> & {
      readonly module: CpuModule;
      readonly exports: ProgramExports;
      readonly id: number;
    },
  ) {
    const { program, scratchBytes } = module;
    super(context, { plan, donated, program, scratchBytes });
    this.#memory = context.memory;
    this.#threads = context.threads;
    this.#plan = plan;
    this.#module = module;
    this.#exports = exports;
    this.#id = id;
    this.#table = this.allocate(4 * program.table.words);
    this.#words = context.memory.words(this.#table, program.table.words);
  }

  /** The source texts of the distinct kernels, generated on demand. */
  get sources(): readonly string[] {
    return this.#sources ??= this.#module.kernels.map(printFunction);
  }

  protected get table(): Int32Array {
    if (this.#words.buffer !== this.#memory.buffer) {
      this.#words = this.#memory.words(this.#table, this.program.table.words);
    }
    return this.#words;
  }

  protected runAll(): void {
    this.#run();
  }

  #run(step?: number, loops?: readonly number[]): void {
    this.#threads.run({
      id: this.#id,
      exports: this.#exports,
      table: this.#table,
      parallel: this.program.parallel,
      step,
      loops,
    });
  }

  /** As later launches run: on all threads. */
  override async profile(inputs: readonly DeviceArray[]): Promise<readonly number[]> {
    if (this.program.parallel) await this.#threads.start();
    return await super.profile(inputs);
  }

  protected timeSteps(times: number[]): void {
    const numbers = new Map(this.program.steps.map(({ step }, i) => [step as Step, i]));
    const at = new Map<number, number>();
    const visit = (steps: readonly Step[]): void => {
      for (const step of steps) {
        if (step.kind === "loop") {
          const { variable: { id, extent }, reverse } = step;
          for (let i = 0; i < extent; i++) {
            at.set(id, reverse ? extent - 1 - i : i);
            visit(step.steps);
          }
          continue;
        }
        const number = numbers.get(step)!, loops = step.kernel.loops.map(({ id }) => at.get(id) ?? 0);
        const start = performance.now();
        this.#run(number, loops.slice(0, MAX_LOOPS));
        times[number] += (performance.now() - start) * 1e6;
      }
    };
    visit(this.#plan.steps);
  }

  protected release(): void {
    this.#threads.drop(this.#id);
  }
}

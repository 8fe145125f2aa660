/**
 * Compiles a plan to one WebAssembly module.
 *
 * Each distinct kernel is a function. `run(thread, threads, blocking, table)` executes the plan's steps, in the same
 * order on every thread (see codegen/thread_program.ts). For profiling, each kernel step is exported as well.
 */
import {
  type Call,
  type Instruction as ThreadInstruction,
  type KernelFunction,
  layThreadProgram,
  type StepPlace,
  type ThreadProgram,
} from "../../codegen/thread_program.ts";
import type { Kernel } from "../../kernel.ts";
import { kernelKey } from "../../kernel_key.ts";
import type { Plan } from "../../plan.ts";
import { type CpuTarget, printCpuKernel } from "./print_kernel.ts";
import {
  encodeBody,
  encodeModule,
  type Instruction,
  type WasmFunction,
  type WasmType,
} from "../../codegen/wasm_encoder.ts";

/** Byte addresses of the barrier's words; see threads.ts. The first page of memory is reserved for the device. */
export const BARRIER = { count: 256, generation: 320, sleepers: 384 } as const;

/** Iterations that a thread spins at a barrier, some tens of microseconds, before it sleeps. */
const SPINS = 20000;

/** Kernels with less work than this run on one thread: waking the others would take longer. */
const MIN_PARALLEL = 20000;

/**
 * What it costs, in multiples of that, that workers wake for a launch, and that threads meet once. Of such work a thread
 * does some 15 in a nanosecond: a meeting is taken for 7 us, between what it takes where each thread has a core and
 * where other processes hold it.
 */
const LAUNCH = 50, MEETING = 5;

/** A plan as a module. */
export interface CpuModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The distinct kernels. */
  readonly kernels: readonly WasmFunction[];
  /** The thread program; `step<i>` is exported for each step. */
  readonly program: ThreadProgram;
  readonly scratchBytes: number;
}

/** Compiles a plan. */
export function makeModule(
  plan: Plan,
  target: CpuTarget & { readonly shared: boolean; readonly minParallel?: number },
): CpuModule {
  const { minParallel = MIN_PARALLEL } = target;
  const printer = new KernelPrinter(target);
  const program = layThreadProgram(plan, {
    functionOf: (kernel) => printer.print(kernel),
    threads: target.threads ?? 1,
    minParallel,
    togetherCosts: { launch: LAUNCH * minParallel, meeting: MEETING * minParallel },
  });
  const { functions: kernels, bodies, scratchBytes } = printer, functions = [...kernels];
  const exports = new Map([["run", functions.length + 1]]);
  const barrier = functions.length;
  functions.push(barrierFunction());
  const runner = new RunPrinter(program, scratchBytes, target.shared ? barrier : undefined);
  functions.push(runner.run());
  program.steps.forEach((place, i) => {
    exports.set(`step${i}`, functions.length);
    functions.push(runner.single(place));
  });
  const bytes = encodeModule({ shared: target.shared, functions, exports, bodies });
  return { bytes, kernels, program, scratchBytes };
}

/** Prints kernels; equal kernels are printed once. */
class KernelPrinter {
  readonly functions: WasmFunction[] = [];
  readonly bodies = new Map<WasmFunction, Uint8Array>();
  /** The largest scratch memory that any kernel requires. */
  scratchBytes = 0;
  readonly #byKey = new Map<string, KernelFunction>();
  readonly #byBody = new Map<string, number>();

  constructor(readonly target: CpuTarget) {}

  /** A kernel's function by its index. */
  print(kernel: Kernel): KernelFunction {
    const key = kernelKey(kernel);
    let known = this.#byKey.get(key);
    if (!known) this.#byKey.set(key, known = this.#print(kernel));
    return known;
  }

  #print(kernel: Kernel): KernelFunction {
    const { fn, scratchBytes, division } = printCpuKernel(kernel, this.target);
    this.scratchBytes = Math.max(this.scratchBytes, scratchBytes);
    // Kernels that differ only where the code does not, such as in the sizes of operands, share a function.
    const body = encodeBody(fn), key = `${fn.parameters.length} ${latin1(body)}`;
    let number = this.#byBody.get(key);
    if (number === undefined) {
      this.#byBody.set(key, number = this.functions.push(fn) - 1);
      this.bodies.set(fn, body);
    }
    return { fn: number, division };
  }
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return text;
}

/**
 * Waits for all threads. Sleepers are counted, since notifying when there are none costs more than the whole barrier.
 */
function barrierFunction(): WasmFunction {
  // Parameters: threads, blocking. Locals: 2 the generation, 3 iterations spun.
  const code: Instruction[] = [
    ...lines("local.get 0; i32.const 1; i32.le_s; if; return; end"),
    ...lines(`i32.const 0; i32.atomic.load ${BARRIER.generation}; local.set 2`),
    ...lines(
      `i32.const 0; i32.const 1; i32.atomic.rmw.add ${BARRIER.count}; local.get 0; i32.const 1; i32.sub; i32.eq; if`,
    ),
    ...lines(`i32.const 0; i32.const 0; i32.atomic.store ${BARRIER.count}`),
    ...lines(`i32.const 0; i32.const 1; i32.atomic.rmw.add ${BARRIER.generation}; drop`),
    ...lines(
      `i32.const 0; i32.atomic.load ${BARRIER.sleepers}; if; i32.const 0; i32.const -1; memory.atomic.notify ${BARRIER.generation}; drop; end`,
    ),
    ...lines("return; end"),
    ...lines(`loop; i32.const 0; i32.atomic.load ${BARRIER.generation}; local.get 2; i32.ne; if; return; end`),
    ...lines(
      `local.get 3; i32.const 1; i32.add; local.tee 3; i32.const ${SPINS}; i32.lt_s; br_if 0; local.get 1; i32.eqz; br_if 0`,
    ),
    ...lines(`i32.const 0; i32.const 1; i32.atomic.rmw.add ${BARRIER.sleepers}; drop`),
    ...lines(`i32.const 0; local.get 2; i64.const -1; memory.atomic.wait32 ${BARRIER.generation}; drop`),
    ...lines(`i32.const 0; i32.const -1; i32.atomic.rmw.add ${BARRIER.sleepers}; drop; br 0; end`),
  ];
  return { parameters: ["threads", "blocking"], locals: ["i32", "i32"], code };
}

function lines(text: string): Instruction[] {
  return text.split("; ").map((line) => {
    const [op, ...immediates] = line.split(" ");
    return [op, ...immediates.map(Number)];
  });
}

/** Parameters of `run`. */
const RUN_PARAMETERS = ["thread", "threads", "blocking", "table"];

/** Generates the functions that call kernels. */
class RunPrinter {
  constructor(
    readonly program: ThreadProgram,
    readonly scratchBytes: number,
    /** Index of the barrier function; undefined with a single thread. */
    readonly barrier: number | undefined,
  ) {}

  /** The function that runs all steps. */
  run(): WasmFunction {
    const { instructions, counters } = this.program;
    const local = (counter: number) => RUN_PARAMETERS.length + counter;
    const print = (list: readonly ThreadInstruction[]): Instruction[] =>
      list.flatMap((instruction): Instruction[] => {
        switch (instruction.kind) {
          case "barrier":
            return this.#meet();
          case "call":
            return this.#call(
              instruction,
              instruction.counters.map((counter) => counter === undefined ? undefined : local(counter)),
            );
          case "loop": {
            const { first, last, body } = instruction, counter = local(instruction.counter);
            const by = last < first ? -1 : 1;
            return [
              ["i32.const", first],
              ["local.set", counter],
              ["loop"],
              ...print(body),
              ["local.get", counter],
              ["i32.const", by],
              ["i32.add"],
              ["local.tee", counter],
              ["i32.const", last + by],
              ["i32.ne"],
              ["br_if", 0],
              ["end"],
            ];
          }
        }
      });
    const locals = Array.from({ length: counters }, (): WasmType => "i32");
    return { parameters: RUN_PARAMETERS, locals, code: [...print(instructions), ...this.#meet()] };
  }

  /**
   * One kernel step: takes thread, threads, blocking, table, and the index of each loop that the kernel reads; ends
   * with a barrier.
   */
  single({ call }: StepPlace): WasmFunction {
    const places = call.counters.map((_, i) => RUN_PARAMETERS.length + i);
    const parameters = [...RUN_PARAMETERS, ...places.map((_, i) => `l${i}`)];
    return { parameters, locals: [], code: [...this.#call(call, places), ...this.#meet()] };
  }

  #meet(): Instruction[] {
    return this.barrier === undefined ? [] : [["local.get", 1], ["local.get", 2], ["call", this.barrier]];
  }

  #call({ fn, single, operands }: Call, counters: readonly (number | undefined)[]): Instruction[] {
    const scratch: Instruction[] = [["local.get", 3], ["i32.load", 4 * this.program.table.scratch]];
    const own: Instruction[] = [["local.get", 0], ["i32.const", this.scratchBytes], ["i32.mul"], ["i32.add"]];
    const rest: Instruction[] = [...scratch, ...(this.scratchBytes > 0 ? own : [])];
    for (const { word, offset } of operands) {
      rest.push(["local.get", 3], ["i32.load", 4 * word]);
      if (offset > 0) rest.push(["i32.const", offset], ["i32.add"]);
    }
    for (const counter of counters) rest.push(counter === undefined ? ["i32.const", 0] : ["local.get", counter]);
    if (!single) return [["local.get", 0], ["local.get", 1], ...rest, ["call", fn]];
    return [["local.get", 0], ["i32.eqz"], ["if"], ["i32.const", 0], ["i32.const", 1], ...rest, ["call", fn], ["end"]];
  }
}

/**
 * From a plan to one WebAssembly module.
 *
 * Every kernel is a function; equal ones are one. `run(thread, threads, blocking, table)` walks the plan's steps, each
 * thread in the same order, with a barrier where one thread may need what another has written. Loops of the plan are
 * loops. The table holds the addresses of the arena, the constants, the inputs and the outputs, so that equal plans
 * give equal bytes. For profiles each kernel step is exported as well.
 */
import { invariant } from "../../../core/errors.ts";
import { costOf } from "../../cost.ts";
import type { Kernel } from "../../kernel.ts";
import { kernelKey } from "../../kernel_key.ts";
import type { KernelStep, Plan, Step, ValueId } from "../../plan.ts";
import { type CpuTarget, printCpuKernel } from "./print_kernel.ts";
import { encodeBody, encodeModule, type Instruction, type WasmFunction, type WasmType } from "./wasm_encoder.ts";

/** Byte addresses of the words that threads meet at; see threads.ts. The memory's first page belongs to the device. */
export const BARRIER = { count: 256, generation: 320, sleepers: 384 } as const;

/** Turns that a thread waits actively at a barrier, some tens of microseconds, before it sleeps. */
const SPINS = 20000;

/** Work below which a kernel runs on one thread: starting all costs more. */
const MIN_PARALLEL = 20000;

/** A plan as a module. */
export interface CpuModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The distinct kernels. */
  readonly kernels: readonly WasmFunction[];
  /** For each kernel step in schedule order, the number of its kernel. */
  readonly shaders: readonly number[];
  /** Kernel steps in schedule order, each with the loops around it, outermost first; `step<i>` is exported for each. */
  readonly steps: readonly StepPlace[];
  /** Words of the address table: arena, scratch, constants, inputs, outputs. */
  readonly table: AddressTable;
  readonly scratchBytes: number;
  /** Whether any kernel is worth more than one thread. */
  readonly parallel: boolean;
}

/** A kernel step and its place. */
export interface StepPlace {
  readonly step: KernelStep;
  /** Extent and direction of each loop around it, outermost first. */
  readonly loops: readonly { readonly extent: number; readonly reverse: boolean }[];
}

/** Which word of the table has the address of what. */
export interface AddressTable {
  readonly arena: 0;
  readonly scratch: 1;
  readonly constants: ReadonlyMap<ValueId, number>;
  readonly inputs: number;
  readonly outputs: number;
  readonly words: number;
}

interface PrintedStep {
  readonly number: number;
  readonly fn: number;
  /** Whether one thread does it all. */
  readonly single: boolean;
}

/** Makes the module of a plan. */
export function makeModule(plan: Plan, target: CpuTarget & { readonly shared: boolean }): CpuModule {
  const table = layTable(plan);
  const shaders: number[] = [], places: StepPlace[] = [];
  const printer = new KernelPrinter(target), printed = new Map<KernelStep, PrintedStep>();
  const print = (steps: readonly Step[], loops: StepPlace["loops"]): void => {
    for (const step of steps) {
      if (step.kind === "loop") {
        print(step.steps, [...loops, { extent: step.variable.extent, reverse: step.reverse }]);
        continue;
      }
      const { fn, single } = printer.print(step.kernel);
      printed.set(step, { number: shaders.length, fn, single });
      shaders.push(fn);
      places.push({ step, loops });
    }
  };
  print(plan.steps, []);
  const { functions: kernels, bodies, scratchBytes } = printer, functions = [...kernels];
  const exports = new Map([["run", functions.length + 1]]);
  const barrier = functions.length;
  functions.push(barrierFunction());
  const runner = new RunPrinter(plan, table, printed, scratchBytes, target.shared ? barrier : undefined);
  functions.push(runner.run());
  places.forEach((place, i) => {
    exports.set(`step${i}`, functions.length);
    functions.push(runner.single(place));
  });
  const parallel = [...printed.values()].some(({ single }) => !single);
  return {
    bytes: encodeModule({ shared: target.shared, functions, exports, bodies }),
    kernels,
    shaders,
    steps: places,
    table,
    scratchBytes,
    parallel,
  };
}

/** A kernel of the module. */
interface PrintedKernel {
  /** The number of its function. */
  readonly fn: number;
  readonly single: boolean;
}

/** Prints kernels, equal ones once. */
class KernelPrinter {
  readonly functions: WasmFunction[] = [];
  readonly bodies = new Map<WasmFunction, Uint8Array>();
  /** The most scratch memory that one of them needs. */
  scratchBytes = 0;
  readonly #byKey = new Map<string, PrintedKernel>();
  readonly #byBody = new Map<string, number>();

  constructor(readonly target: CpuTarget) {}

  print(kernel: Kernel): PrintedKernel {
    const key = kernelKey(kernel);
    let printed = this.#byKey.get(key);
    if (!printed) this.#byKey.set(key, printed = this.#print(kernel));
    return printed;
  }

  #print(kernel: Kernel): PrintedKernel {
    const { fn, scratchBytes } = printCpuKernel(kernel, this.target);
    this.scratchBytes = Math.max(this.scratchBytes, scratchBytes);
    // Kernels that differ in what no code depends on, such as the sizes of operands, are one function.
    const body = encodeBody(fn), key = `${fn.parameters.length} ${latin1(body)}`;
    let number = this.#byBody.get(key);
    if (number === undefined) {
      this.#byBody.set(key, number = this.functions.push(fn) - 1);
      this.bodies.set(fn, body);
    }
    const { flops, bytes } = costOf(kernel);
    return { fn: number, single: flops + bytes < MIN_PARALLEL };
  }
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return text;
}

function layTable({ values, inputs, outputs }: Plan): AddressTable {
  const constants = new Map<ValueId, number>();
  let words = 2;
  for (const { id, storage } of values) if (storage.kind === "constant") constants.set(id, words++);
  return {
    arena: 0,
    scratch: 1,
    constants,
    inputs: words,
    outputs: words + inputs.length,
    words: words + inputs.length + outputs.length,
  };
}

/** Waits until all threads are here. Sleepers are counted, because waking nobody costs more than the whole barrier. */
function barrierFunction(): WasmFunction {
  // Parameters: threads, blocking. Locals: 2 the generation, 3 turns waited.
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

/** What threads may have written since they last met. */
type Dirty = "nothing" | "single" | "parallel";

/** Writes the functions that call kernels. */
class RunPrinter {
  constructor(
    readonly plan: Plan,
    readonly table: AddressTable,
    readonly printed: ReadonlyMap<KernelStep, PrintedStep>,
    readonly scratchBytes: number,
    /** Number of the barrier function; undefined where there is one thread only. */
    readonly barrier: number | undefined,
  ) {}

  /** The function that runs all steps. */
  run(): WasmFunction {
    const locals: WasmType[] = [];
    const loops = new Map<number, number>();
    let dirty: Dirty = "nothing";
    const visit = (steps: readonly Step[]): Instruction[] =>
      steps.flatMap((step): Instruction[] => {
        if (step.kind === "kernel") {
          const { single } = this.printed.get(step)!;
          const needed = dirty !== "nothing" && !(dirty === "single" && single);
          dirty = single ? "single" : "parallel";
          return [...(needed ? this.#meet() : []), ...this.#call(step, loops)];
        }
        const { variable, reverse, steps: body } = step;
        if (variable.extent === 0 || body.length === 0) return [];
        const counter = RUN_PARAMETERS.length + locals.push("i32") - 1;
        loops.set(variable.id, counter);
        const last = this.#lastOf(body);
        // The first kernel of the body follows what was before the loop, or the body's own last kernel.
        if (dirty !== last && last !== "nothing") dirty = "parallel";
        const inner = visit(body);
        const [from, by, end] = reverse ? [variable.extent - 1, -1, -1] : [0, 1, variable.extent];
        return [
          ["i32.const", from],
          ["local.set", counter],
          ["loop"],
          ...inner,
          ["local.get", counter],
          ["i32.const", by],
          ["i32.add"],
          ["local.tee", counter],
          ["i32.const", end],
          ["i32.ne"],
          ["br_if", 0],
          ["end"],
        ];
      });
    const code = visit(this.plan.steps);
    return { parameters: RUN_PARAMETERS, locals, code: [...code, ...this.#meet()] };
  }

  #lastOf(steps: readonly Step[]): Dirty {
    for (const step of steps.toReversed()) {
      if (step.kind === "kernel") return this.printed.get(step)!.single ? "single" : "parallel";
      const last = step.variable.extent > 0 ? this.#lastOf(step.steps) : "nothing";
      if (last !== "nothing") return last;
    }
    return "nothing";
  }

  /**
   * One kernel step: thread, threads, blocking, table, and the index of each loop that the kernel reads; then a
   * barrier.
   */
  single({ step }: StepPlace): WasmFunction {
    const { loops } = step.kernel;
    const places = new Map(loops.map(({ id }, i) => [id, RUN_PARAMETERS.length + i]));
    const parameters = [...RUN_PARAMETERS, ...loops.map((_, i) => `l${i}`)];
    return { parameters, locals: [], code: [...this.#call(step, places), ...this.#meet()] };
  }

  #meet(): Instruction[] {
    return this.barrier === undefined ? [] : [["local.get", 1], ["local.get", 2], ["call", this.barrier]];
  }

  #call(step: KernelStep, loops: ReadonlyMap<number, number>): Instruction[] {
    const { fn, single } = this.printed.get(step)!;
    const scratch: Instruction[] = [["local.get", 3], ["i32.load", 4 * this.table.scratch]];
    const own: Instruction[] = [["local.get", 0], ["i32.const", this.scratchBytes], ["i32.mul"], ["i32.add"]];
    const rest: Instruction[] = [...scratch, ...(this.scratchBytes > 0 ? own : [])];
    for (const id of step.operands) rest.push(...this.#address(id));
    for (const { id, extent } of step.kernel.loops) {
      const counter = loops.get(id);
      invariant(counter !== undefined || extent <= 1, "a kernel reads the index of a loop that is not around it");
      rest.push(counter === undefined ? ["i32.const", 0] : ["local.get", counter]);
    }
    if (!single) return [["local.get", 0], ["local.get", 1], ...rest, ["call", fn]];
    return [["local.get", 0], ["i32.eqz"], ["if"], ["i32.const", 0], ["i32.const", 1], ...rest, ["call", fn], ["end"]];
  }

  #address(id: ValueId): Instruction[] {
    const { values, offsets } = this.plan;
    const { storage, label } = values[id];
    const load = (word: number, offset = 0): Instruction[] => [
      ["local.get", 3],
      ["i32.load", 4 * word],
      ...(offset > 0 ? [["i32.const", offset], ["i32.add"]] as Instruction[] : []),
    ];
    switch (storage.kind) {
      case "input":
        return load(this.table.inputs + storage.position);
      case "output":
        return load(this.table.outputs + storage.position);
      case "constant":
        return load(this.table.constants.get(id)!);
      case "temporary": {
        const offset = offsets.get(id);
        invariant(offset !== undefined, `${label} has no place in the arena`);
        return load(this.table.arena, offset);
      }
      case "alias":
        return [...this.#address(storage.of), ["i32.const", storage.byteOffset], ["i32.add"]];
    }
  }
}

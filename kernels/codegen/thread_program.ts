/**
 * What every thread of a CPU does to run a plan: calls of kernels, barriers where one thread may need what another has
 * written, and loops. Plain data, which devices print or interpret.
 *
 * Addresses of values are words of a table plus an offset. The table is filled for each launch, so that equal plans
 * give equal programs wherever their arrays lie.
 */
import { invariant } from "../../core/errors.ts";
import { costOf } from "../cost.ts";
import type { Kernel } from "../kernel.ts";
import type { KernelStep, Plan, Step, ValueId } from "../plan.ts";

/** Which word of the table has the address of what. */
export interface AddressTable {
  readonly arena: 0;
  readonly scratch: 1;
  readonly constants: ReadonlyMap<ValueId, number>;
  readonly inputs: number;
  readonly outputs: number;
  readonly words: number;
}

/** Where a value lies: so many bytes behind what a word of the table points to. */
export interface Address {
  readonly word: number;
  readonly offset: number;
}

/** A call of a kernel, by all threads or (`single`) by the first alone. */
export interface Call {
  readonly kind: "call";
  /** The number of the kernel step, in schedule order. */
  readonly step: number;
  /** The number of the function. */
  readonly fn: number;
  readonly single: boolean;
  readonly operands: readonly Address[];
  /** For each loop whose index the kernel reads, the number of its counter; undefined for loops of one turn. */
  readonly counters: readonly (number | undefined)[];
}

/** Runs `body` with a counter that goes from `first` to `last`, up or down by one. */
export interface CountedLoop {
  readonly kind: "loop";
  readonly counter: number;
  readonly first: number;
  readonly last: number;
  readonly body: readonly Instruction[];
}

/** What a thread does. At a barrier it waits until all are there. */
export type Instruction = Call | { readonly kind: "barrier" } | CountedLoop;

/** A kernel step and its place. */
export interface StepPlace {
  readonly step: KernelStep;
  readonly call: Call;
}

/** A plan for threads. All threads run the same instructions and meet at the end. */
export interface ThreadProgram {
  readonly instructions: readonly Instruction[];
  /** How many counters its loops have. */
  readonly counters: number;
  /** Kernel steps in schedule order. */
  readonly steps: readonly StepPlace[];
  readonly table: AddressTable;
  /** Whether any kernel is worth more than one thread. */
  readonly parallel: boolean;
  /** Bytes moved and operations of those kernels, in all turns of loops. */
  readonly parallelWork: number;
}

/**
 * Lays a plan out for threads.
 * @param fnOf The number of the function of a kernel.
 * @param minParallel Bytes moved and operations below which a kernel runs on one thread: starting all costs more.
 */
export function layThreadProgram(plan: Plan, fnOf: (kernel: Kernel) => number, minParallel: number): ThreadProgram {
  const table = layTable(plan);
  const layer = new Layer(plan, table, fnOf, minParallel);
  const instructions = layer.visit(plan.steps);
  const { steps, counters, parallelWork } = layer;
  return { instructions, counters, steps, table, parallel: steps.some(({ call }) => !call.single), parallelWork };
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

/** What threads may have written since they last met. */
type Dirty = "nothing" | "single" | "parallel";

class Layer {
  readonly steps: StepPlace[] = [];
  counters = 0;
  parallelWork = 0;
  /** How often the kernels that are visited run. */
  #turns = 1;
  readonly #counterOf = new Map<number, number>();
  readonly #work = new Map<Kernel, number>();
  #dirty: Dirty = "nothing";

  constructor(
    readonly plan: Plan,
    readonly table: AddressTable,
    readonly fnOf: (kernel: Kernel) => number,
    readonly minParallel: number,
  ) {}

  visit(steps: readonly Step[]): Instruction[] {
    return steps.flatMap((step): Instruction[] => {
      if (step.kind === "kernel") return this.#visitKernel(step);
      const { variable, reverse, steps: body } = step;
      const counter = this.counters++, before = this.#dirty;
      this.#counterOf.set(variable.id, counter);
      if (variable.extent === 0 || body.length === 0) {
        // No thread comes here, but the kernels are steps of the schedule all the same.
        this.visit(body);
        this.#dirty = before;
        return [];
      }
      const last = this.#lastOf(body);
      // The first kernel of the body follows what was before the loop, or the body's own last kernel.
      if (this.#dirty !== last && last !== "nothing") this.#dirty = "parallel";
      const ends = [0, variable.extent - 1];
      if (reverse) ends.reverse();
      const around = this.#turns;
      this.#turns *= variable.extent;
      const instructions = this.visit(body);
      this.#turns = around;
      return [{ kind: "loop", counter, first: ends[0], last: ends[1], body: instructions }];
    });
  }

  #visitKernel(step: KernelStep): Instruction[] {
    const call = this.#call(step), { single } = call;
    const needed = this.#dirty !== "nothing" && !(this.#dirty === "single" && single);
    this.#dirty = single ? "single" : "parallel";
    if (!single) this.parallelWork += this.#turns * this.#workOf(step.kernel);
    return needed ? [{ kind: "barrier" }, call] : [call];
  }

  #call(step: KernelStep): Call {
    const { kernel, operands } = step;
    const counters = kernel.loops.map(({ id, extent }) => {
      const counter = this.#counterOf.get(id);
      invariant(counter !== undefined || extent <= 1, "a kernel reads the index of a loop that is not around it");
      return counter;
    });
    const call: Call = {
      kind: "call",
      step: this.steps.length,
      fn: this.fnOf(kernel),
      single: this.#isSingle(kernel),
      operands: operands.map((id) => this.#address(id)),
      counters,
    };
    this.steps.push({ step, call });
    return call;
  }

  #isSingle(kernel: Kernel): boolean {
    return this.#workOf(kernel) < this.minParallel;
  }

  /** Bytes moved and operations. */
  #workOf(kernel: Kernel): number {
    let work = this.#work.get(kernel);
    if (work === undefined) {
      const { flops, bytes } = costOf(kernel);
      this.#work.set(kernel, work = flops + bytes);
    }
    return work;
  }

  #lastOf(steps: readonly Step[]): Dirty {
    for (const step of steps.toReversed()) {
      if (step.kind === "kernel") return this.#isSingle(step.kernel) ? "single" : "parallel";
      const last = step.variable.extent > 0 ? this.#lastOf(step.steps) : "nothing";
      if (last !== "nothing") return last;
    }
    return "nothing";
  }

  #address(id: ValueId): Address {
    const { values, offsets } = this.plan, { storage, label } = values[id];
    switch (storage.kind) {
      case "input":
        return { word: this.table.inputs + storage.position, offset: 0 };
      case "output":
        return { word: this.table.outputs + storage.position, offset: 0 };
      case "constant":
        return { word: this.table.constants.get(id)!, offset: 0 };
      case "temporary": {
        const offset = offsets.get(id);
        invariant(offset !== undefined, `${label} has no place in the arena`);
        return { word: this.table.arena, offset };
      }
      case "alias": {
        const { word, offset } = this.#address(storage.of);
        return { word, offset: offset + storage.byteOffset };
      }
    }
  }
}

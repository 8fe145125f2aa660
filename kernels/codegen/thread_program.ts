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
import type { KernelStep, LoopStep, Plan, Step, ValueId } from "../plan.ts";
import { footprintOf, type Region } from "./footprint.ts";
import { Touched } from "./touched.ts";
import type { Division } from "./walk.ts";

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

/**
 * Runs `body` with a counter that goes from `first` to `last`, up or down by one. Without a barrier in its body,
 * threads go through all iterations without waiting for each other.
 */
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
  /** Whether launches are worth more than one thread: what is saved is more than what beginning and meeting cost. */
  readonly parallel: boolean;
  /** Bytes moved and operations of those kernels, in all iterations of loops. */
  readonly parallelWork: number;
}

/** A kernel as a function. */
export interface KernelFunction {
  /** Its number. */
  readonly fn: number;
  /** What threads share it by. */
  readonly division: Division;
}

/** How a plan is laid out. */
export interface LayOptions {
  readonly functionOf: (kernel: Kernel) => KernelFunction;
  /** Threads that run the program; any of its launches may also run on one thread. */
  readonly threads: number;
  /** Bytes moved and operations below which a kernel runs on one thread: starting all costs more. */
  readonly minParallel: number;
  /** What it costs in such work that threads begin a launch together, and that they meet once. Default: nothing. */
  readonly togetherCosts?: { readonly launch: number; readonly meeting: number };
}

/** Lays a plan out for threads. */
export function layThreadProgram(plan: Plan, options: LayOptions): ThreadProgram {
  const table = layTable(plan);
  const layer = new Layer(plan, table, options);
  const instructions = layer.visit(plan.steps);
  const { steps, counters, parallelWork, meetings } = layer;
  const { launch, meeting } = options.togetherCosts ?? { launch: 0, meeting: 0 };
  const isWorth = parallelWork * (1 - 1 / options.threads) >= launch + meetings * meeting;
  const parallel = isWorth && steps.some(({ call }) => !call.single);
  return { instructions, counters, steps, table, parallel, parallelWork };
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

class Layer {
  readonly steps: StepPlace[] = [];
  counters = 0;
  parallelWork = 0;
  /** How often threads wait for each other. */
  meetings = 0;
  /** How often the kernels that are visited run. */
  #turns = 1;
  readonly #counterOf = new Map<number, number>();
  readonly #work = new Map<Kernel, number>();
  /** Of kernels that all threads share, and of kernels that one runs. */
  readonly #footprints = [new Map<KernelStep, readonly Region[]>(), new Map<KernelStep, readonly Region[]>()];
  /** What threads may have touched since they last met. */
  readonly #touched: Touched;
  /** Whether threads share small kernels too. */
  #sharesAll = false;

  constructor(readonly plan: Plan, readonly table: AddressTable, readonly options: LayOptions) {
    this.#touched = new Touched(options.threads);
  }

  visit(steps: readonly Step[]): Instruction[] {
    return steps.flatMap((step) => step.kind === "kernel" ? this.#visitKernel(step) : this.#visitLoop(step));
  }

  #visitLoop({ variable, reverse, steps: body }: LoopStep): Instruction[] {
    const counter = this.counters++;
    this.#counterOf.set(variable.id, counter);
    if (variable.extent === 0 || body.length === 0) {
      // No thread comes here, nor to the barriers, but the kernels are steps of the schedule all the same.
      this.visit(body);
      this.#touched.addEverything();
      return [];
    }
    const sharesAll = this.#sharesAll, turns = this.#turns;
    const loop = (): CountedLoop => {
      const [first, last] = reverse ? [variable.extent - 1, 0] : [0, variable.extent - 1];
      this.#turns *= variable.extent;
      const instructions = this.visit(body);
      this.#turns = turns;
      return { kind: "loop", counter, first, last, body: instructions };
    };
    // Small kernels run on one thread, unless threads then wait for each other in every iteration.
    for (const share of sharesAll ? [true] : [false, true]) {
      const regions = this.#regionsOf(body, share);
      if (!regions) continue;
      const before = this.#meet(regions);
      this.#sharesAll = share;
      const free = loop();
      this.#sharesAll = sharesAll;
      return [...before, free];
    }
    // The first kernel waits for what was before the loop, and later for the end of the iteration before.
    this.#touched.addEverything();
    return [loop()];
  }

  /** What the iterations of a loop touch, if no thread needs what another does in any of them: then it needs no barrier. */
  #regionsOf(body: readonly Step[], share: boolean): readonly Region[] | undefined {
    const regions = kernelsOf(body).flatMap((step) => this.#footprint(step, !share && this.#isSmall(step.kernel)));
    const all = new Touched(this.options.threads);
    all.add(regions);
    return all.conflicts(regions) ? undefined : regions;
  }

  #visitKernel(step: KernelStep): Instruction[] {
    const regions = this.#footprint(step, false);
    let single = !this.#sharesAll && this.#isSmall(step.kernel);
    // Waiting for one thread that computes alone takes longer than sharing what is small.
    if (single && this.#touched.conflicts(this.#footprint(step, true))) single = this.#touched.conflicts(regions);
    const barrier = this.#meet(single ? this.#footprint(step, true) : regions);
    if (!single) this.parallelWork += this.#turns * this.#workOf(step.kernel);
    return [...barrier, this.#call(step, single)];
  }

  /** The barrier that has to come before regions are touched, if one has. */
  #meet(regions: readonly Region[]): Instruction[] {
    const needed = this.#touched.conflicts(regions);
    if (needed) {
      this.#touched.clear();
      this.meetings += this.#turns;
    }
    this.#touched.add(regions);
    return needed ? [{ kind: "barrier" }] : [];
  }

  /** What a kernel touches if the first thread runs it alone (`single`), or if all share it. */
  #footprint(step: KernelStep, single: boolean): readonly Region[] {
    const known = this.#footprints[Number(single)];
    let regions = known.get(step);
    if (!regions) {
      const { kernel, operands } = step;
      regions = footprintOf(step, {
        division: this.options.functionOf(kernel).division,
        threads: single ? 1 : this.options.threads,
        placeOf: (operand) => this.#place(operands[operand]),
      });
      known.set(step, regions);
    }
    return regions;
  }

  /** Where a value lies: an output that takes the place of an input is in that input's memory. */
  #place(id: ValueId): { memory: number; offset: number } {
    const { word, offset } = this.#address(id), position = word - this.table.outputs;
    const storage = position < 0 ? undefined : this.plan.values[this.plan.outputs[position]].storage;
    const takes = storage?.kind === "output" ? storage.takes : undefined;
    return { memory: takes === undefined ? word : this.table.inputs + takes, offset };
  }

  #call(step: KernelStep, single: boolean): Call {
    const { kernel, operands } = step;
    const counters = kernel.loops.map(({ id, extent }) => {
      const counter = this.#counterOf.get(id);
      invariant(counter !== undefined || extent <= 1, "a kernel reads the index of a loop that is not around it");
      return counter;
    });
    const call: Call = {
      kind: "call",
      step: this.steps.length,
      fn: this.options.functionOf(kernel).fn,
      single,
      operands: operands.map((id) => this.#address(id)),
      counters,
    };
    this.steps.push({ step, call });
    return call;
  }

  /** Whether starting all threads costs more than sharing a kernel saves. */
  #isSmall(kernel: Kernel): boolean {
    return this.#workOf(kernel) < this.options.minParallel;
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

/** The kernel steps among steps, those in loops included. */
function kernelsOf(steps: readonly Step[]): KernelStep[] {
  return steps.flatMap((step) => step.kind === "kernel" ? [step] : kernelsOf(step.steps));
}

/**
 * A machine that runs the steps of a schedule on one flat memory of doubles, and checks what a device cannot:
 *
 * - every access lies inside its operand, and every operand inside its value;
 * - what is read was written by the value that is read: not by nobody, and not by another value that lies in the same
 *   memory;
 * - no invocation reads or writes what another one of the same kernel writes, and none reads back what it stored
 *   itself;
 * - no kernel writes inputs or constants, or touches one element through two operands of which it writes one;
 * - at the end every element of every output has been written.
 *
 * Memory is counted in cells: of 4 bytes, or of 2 where a value is a float of 16 bits. A cell holds any element exactly, and remembers
 * who wrote it.
 */
import { sizeOf } from "../../core/dtype.ts";
import { sizeOfShape } from "../../core/shape.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import type { KernelStep, Schedule, Step, Value, ValueId } from "../../kernels/plan.ts";
import { compileKernel, type DeadTerms, type KernelMemory } from "./kernel_code.ts";

/** What a schedule or a plan does wrong. */
export class KernelFault extends Error {
  override readonly name = "KernelFault";

  /**
   * @param message What is wrong, with the numbers.
   * @param kernel The kernel that does it, its number among the steps, its kind and its ops; undefined where no kernel
   * is to blame.
   */
  constructor(message: string, readonly kernel?: string) {
    super(kernel === undefined ? message : `${kernel}: ${message}`);
  }
}

/** Where values that are no parts of others lie: byte addresses in one memory. */
export interface Layout {
  readonly addressOf: (value: ValueId) => number;
  readonly sizeBytes: number;
  /**
   * Temporaries whose contents are gone when a step begins: what was in their memory is no longer theirs, nor that of
   * who had it before.
   */
  readonly begins: ReadonlyMap<Step, readonly ValueId[]>;
}

/**
 * Nobody wrote the cell. Other owners are `value + 1`, or `-value - 1` where the value's memory begins and it has not
 * written yet.
 */
const NOBODY = 0;

interface Operand {
  readonly id: ValueId;
  /** The cell of element 0, cells an element, elements. */
  readonly start: number;
  readonly stride: number;
  readonly size: number;
  readonly access: "read" | "write" | "readwrite";
  /** Who may have written what is read here. */
  readonly owner: number;
  readonly alsoOwner: number;
}

/** Runs a schedule on inputs, in the dtype's order. */
export class PlanMachine implements KernelMemory {
  readonly #cells: Float64Array;
  /** Who wrote each cell. */
  readonly #owners: Int32Array;
  /**
   * The last invocation that wrote, and that read, each cell; `-first` for a reader: more than one invocation of the
   * kernel that began with `first`.
   */
  readonly #writers: Int32Array;
  readonly #readers: Int32Array;
  readonly #cellBytes: number;
  readonly #loops = new Map<number, number>();
  /** Invocations of all kernels are numbered; the kernel that runs began with `first`. */
  #invocation = 0;
  #first = 0;
  #operands: readonly Operand[] = [];
  #readsBack = false;
  #where: () => string = () => "";

  constructor(readonly schedule: Schedule, readonly layout: Layout, readonly deadTerms: DeadTerms) {
    this.#cellBytes = schedule.values.some(({ type }) => sizeOf(type.dtype) === 2) ? 2 : 4;
    const count = layout.sizeBytes / this.#cellBytes;
    this.#cells = new Float64Array(count).fill(NaN);
    this.#owners = new Int32Array(count);
    this.#writers = new Int32Array(count);
    this.#readers = new Int32Array(count);
  }

  /** The outputs. @throws {KernelFault} */
  run(inputs: readonly ArrayLike<number>[]): Float64Array[] {
    const { values, inputs: inputIds, outputs, steps } = this.schedule;
    for (const value of values) if (value.storage.kind === "constant") this.#put(value, value.storage.data);
    inputIds.forEach((id, at) => this.#put(values[id], inputs[at]));
    let number = 0;
    const numbers = new Map<Step, number>();
    const count = (step: Step): void =>
      step.kind === "loop" ? step.steps.forEach(count) : void numbers.set(step, number++);
    steps.forEach(count);
    this.#steps(steps, numbers);
    return outputs.map((id, at) => this.#take(values[id], at));
  }

  #put(value: Value, data: ArrayLike<number>): void {
    const size = sizeOfShape(value.type.shape);
    if (data.length < size) throw new KernelFault(`${value.label} has ${data.length} elements for ${size}`);
    const { start, stride } = this.#rangeOf(value);
    for (let i = 0; i < size; i++) this.#cells[start + i * stride] = data[i];
    this.#owners.fill(value.id + 1, start, start + size * stride);
  }

  #take(value: Value, position: number): Float64Array {
    const { start, stride } = this.#rangeOf(value);
    return new Float64Array(sizeOfShape(value.type.shape)).map((_, i) => {
      const cell = start + i * stride, owner = this.#owners[cell];
      if (owner !== value.id + 1) {
        throw new KernelFault(`output ${position} ends with element ${i} ${this.#history(owner)}`);
      }
      return this.#cells[cell];
    });
  }

  /** The cell where a value begins, and cells an element. */
  #rangeOf({ id, storage, type }: Value): { start: number; stride: number } {
    const address = storage.kind === "alias"
      ? this.layout.addressOf(storage.of) + storage.byteOffset
      : this.layout.addressOf(id);
    return { start: address / this.#cellBytes, stride: sizeOf(type.dtype) / this.#cellBytes };
  }

  #steps(steps: readonly Step[], numbers: ReadonlyMap<Step, number>): void {
    for (const step of steps) {
      for (const id of this.layout.begins.get(step) ?? []) this.#begin(this.schedule.values[id]);
      if (step.kind === "kernel") {
        this.#kernel(step, numbers.get(step)!);
        continue;
      }
      const { variable: { id, extent }, reverse } = step;
      for (let i = 0; i < extent; i++) {
        this.#loops.set(id, reverse ? extent - 1 - i : i);
        this.#steps(step.steps, numbers);
      }
      this.#loops.delete(id);
    }
  }

  /** Poisons the memory of a value that begins to live. */
  #begin(value: Value): void {
    const { start } = this.#rangeOf(value), end = start + value.sizeBytes / this.#cellBytes;
    this.#cells.fill(NaN, start, end);
    this.#owners.fill(-value.id - 1, start, end);
  }

  #kernel(step: KernelStep, number: number): void {
    const { kernel } = step;
    this.#where = () => {
      const turns = kernel.loops.map(({ id, name }) => `${name} = ${this.#loops.get(id)}`);
      return `kernel ${number}, ${kernel.kind} (${kernel.origins.join(", ")})${
        turns.length > 0 ? ` at ${turns.join(", ")}` : ""
      }`;
    };
    const run = compileKernel(kernel, this.deadTerms);
    this.#operands = step.operands.map((id, at) => this.#bind(kernel, id, at));
    this.#checkOverlap();
    this.#readsBack = kernel.kind === "scatter";
    this.#first = ++this.#invocation;
    run(this, this.#loops);
    this.#invocation++;
  }

  #bind(kernel: Kernel, id: ValueId, at: number): Operand {
    const value = this.schedule.values[id], { dtype, size, access } = kernel.operands[at];
    const base = value.storage.kind === "alias" ? this.schedule.values[value.storage.of] : value;
    if (dtype !== value.type.dtype) this.#fail(`operand ${at} is ${dtype}, its value ${value.type.dtype}`);
    if (size * sizeOf(dtype) > value.sizeBytes) {
      this.#fail(`operand ${at} has ${size} elements, its value ${value.label} ${value.sizeBytes} bytes`);
    }
    if (access !== "read" && (base.storage.kind === "input" || base.storage.kind === "constant")) {
      this.#fail(`operand ${at} writes the ${base.storage.kind} ${value.label}`);
    }
    const taken = base.storage.kind === "output" && access === "readwrite" ? base.storage.takes : undefined;
    const owner = base.id + 1;
    return {
      id,
      ...this.#rangeOf(value),
      size,
      access,
      owner,
      alsoOwner: taken === undefined ? owner : this.schedule.inputs[taken] + 1,
    };
  }

  /**
   * A range that is written may be bound once only: WebGPU refuses more, and vector code would read what it has
   * written.
   */
  #checkOverlap(): void {
    const ranges = this.#operands.map(({ start, size, stride }) => ({ start, end: start + size * stride }));
    this.#operands.forEach(({ access }, at) => {
      ranges.forEach(({ start, end }, other) => {
        const isOther = other !== at && (access !== "read" || this.#operands[other].id === this.#operands[at].id);
        if (isOther && start < ranges[at].end && ranges[at].start < end) {
          this.#fail(`operands ${at} and ${other} share memory, ${this.#label(at)} and ${this.#label(other)}`);
        }
      });
    });
  }

  #label(operand: number): string {
    const { id } = this.#operands[operand];
    return `value ${id} (${this.schedule.values[id].label})`;
  }

  /** What is known of an element of whose value the one that is read is not the writer. */
  #history(owner: number): string {
    if (owner === NOBODY) return "which nobody has written";
    const id = Math.abs(owner) - 1, name = `value ${id} (${this.schedule.values[id].label})`;
    return owner > 0
      ? `which ${name} has written there`
      : `whose memory was given to ${name}, which has not written it`;
  }

  #fail(message: string): never {
    throw new KernelFault(message, this.#where());
  }

  invocation(): void {
    this.#invocation++;
  }

  load(operand: number, index: number): number {
    const { start, stride, size, access, owner, alsoOwner } = this.#operands[operand];
    if (!(index >= 0 && index < size)) this.#fail(`loads element ${index} of operand ${operand}, which has ${size}`);
    if (access === "write") this.#fail(`loads operand ${operand}, which is only written`);
    const cell = start + index * stride;
    for (let at = cell; at < cell + stride; at++) {
      const by = this.#owners[at];
      if (by !== owner && by !== alsoOwner) {
        this.#fail(`loads element ${index} of operand ${operand}, ${this.#label(operand)}, ${this.#history(by)}`);
      }
    }
    const now = this.#invocation, writer = this.#writers[cell], reader = this.#readers[cell];
    if (writer >= this.#first) {
      if (writer !== now) this.#fail(`loads element ${index} of operand ${operand}, which another invocation stores`);
      if (!this.#readsBack) this.#fail(`loads element ${index} of operand ${operand} after storing it`);
    }
    if (reader !== -this.#first) this.#readers[cell] = reader >= this.#first && reader !== now ? -this.#first : now;
    return this.#cells[cell];
  }

  store(operand: number, index: number, value: number): void {
    const { start, stride, size, access, owner } = this.#operands[operand];
    if (!(index >= 0 && index < size)) this.#fail(`stores element ${index} of operand ${operand}, which has ${size}`);
    if (access === "read") this.#fail(`stores operand ${operand}, which is only read`);
    const cell = start + index * stride, now = this.#invocation, first = this.#first;
    const writer = this.#writers[cell], reader = this.#readers[cell];
    if ((writer >= first && writer !== now) || (reader >= first && reader !== now) || reader === -first) {
      this.#fail(`stores element ${index} of operand ${operand}, which another invocation reads or stores`);
    }
    for (let at = cell; at < cell + stride; at++) this.#owners[at] = owner;
    this.#writers[cell] = now;
    this.#cells[cell] = value;
  }
}

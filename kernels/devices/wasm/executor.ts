/**
 * Runs a plan's module: fills the address table and calls it on all threads. A launch returns when its results are
 * there.
 */
import { DeviceError, ShapeError } from "../../../core/errors.ts";
import { formatType, sameShape } from "../../../core/shape.ts";
import type { Device, DeviceArray, Executable } from "../../device.ts";
import { toDeviceBytes } from "../../host_data.ts";
import { type Handover, handoverOf } from "../../in_place.ts";
import type { Plan, Step } from "../../plan.ts";
import { CpuArray } from "./array.ts";
import type { CpuMemory } from "./memory.ts";
import type { CpuModule } from "./module.ts";
import type { SharedRange } from "./shared_range.ts";
import { MAX_LOOPS, type ProgramExports, type Threads } from "./threads.ts";
import { printFunction } from "./wasm_encoder.ts";

/** What an executable shares with its device. */
export interface CpuContext {
  readonly device: Device;
  readonly memory: CpuMemory;
  /** For the intermediate values of whatever program runs, and for what its threads need beside them. */
  readonly arena: SharedRange;
  readonly scratch: SharedRange;
  readonly threads: Threads;
  /** @throws {DeviceError} once the device was disposed. */
  check(): void;
}

interface Allocation {
  readonly address: number;
  readonly sizeBytes: number;
}

/** A plan on a cpu device. */
export class CpuExecutable implements Executable {
  readonly shaders: readonly number[];
  #context: CpuContext;
  #plan: Plan;
  #donated: readonly number[];
  #handover: Handover;
  #module: CpuModule;
  #exports: ProgramExports;
  #id: number;
  #allocations: Allocation[] = [];
  #table: number;
  #words: Int32Array;
  #sources: readonly string[] | undefined;
  #disposed = false;

  /**
   * @param donated Positions of the inputs that a launch uses up.
   * @param id The number under which the workers know the module.
   */
  constructor(
    context: CpuContext,
    { plan, donated, module, exports, id }: {
      readonly plan: Plan;
      readonly donated: readonly number[];
      readonly module: CpuModule;
      readonly exports: ProgramExports;
      readonly id: number;
    },
  ) {
    this.#context = context;
    this.#plan = plan;
    this.#donated = donated;
    this.#handover = handoverOf(plan, donated);
    this.#module = module;
    this.#exports = exports;
    this.#id = id;
    this.shaders = module.shaders;
    const { table } = module;
    this.#table = this.#allocate(4 * table.words);
    const constants = [...table.constants].map(([id, word]): [number, number] => {
      const { storage, type, sizeBytes } = plan.values[id];
      const address = this.#allocate(sizeBytes);
      if (storage.kind === "constant") {
        const data = toDeviceBytes(storage.data, type.dtype);
        context.memory.bytes(address, data.byteLength).set(
          new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
        );
      }
      return [word, address];
    });
    context.arena.add(this, plan.arenaBytes);
    context.scratch.add(this, module.scratchBytes * context.threads.count);
    const words = this.#words = context.memory.words(this.#table, table.words);
    for (const [word, address] of constants) words[word] = address;
  }

  /** Texts of the distinct kernels, written when they are asked for. */
  get sources(): readonly string[] {
    return this.#sources ??= this.#module.kernels.map(printFunction);
  }

  #allocate(sizeBytes: number): number {
    const address = this.#context.memory.allocate(sizeBytes);
    this.#allocations.push({ address, sizeBytes });
    return address;
  }

  /** Runs on arrays of this device and returns new ones. */
  launch(inputs: readonly DeviceArray[]): DeviceArray[] {
    const addresses = this.#prepare(inputs);
    this.#run();
    this.#useUp(inputs);
    const { device, memory } = this.#context;
    return addresses.map((address, i) => {
      const { shape, dtype } = this.#plan.values[this.#plan.outputs[i]].type;
      return new CpuArray(device, memory, address, shape, dtype);
    });
  }

  /** Takes the memory of donated inputs away, and frees that which is no output's. */
  #useUp(inputs: readonly DeviceArray[]): void {
    for (const position of this.#donated) {
      const array = inputs[position] as CpuArray;
      const address = array.take();
      if (this.#handover.freed.includes(position)) this.#context.memory.free(address, array.sizeBytes);
    }
  }

  #run(step?: number, loops?: readonly number[]): void {
    this.#context.threads.run({
      id: this.#id,
      exports: this.#exports,
      table: this.#table,
      parallel: this.#module.parallel,
      step,
      loops,
    });
  }

  /**
   * Checks the inputs, finds memory for the outputs, and writes the addresses of both to the table. Gives those of the
   * outputs.
   */
  #prepare(inputs: readonly DeviceArray[]): number[] {
    const { device, memory, arena, scratch } = this.#context;
    this.#context.check();
    if (this.#disposed) throw new DeviceError("Cannot launch the program: it was disposed", "disposed");
    const { values, inputs: inputIds, outputs: outputIds, arenaBytes } = this.#plan;
    if (inputs.length !== inputIds.length) {
      throw new ShapeError(`Cannot launch the program with ${inputs.length} arrays: it has ${inputIds.length} inputs`);
    }
    const addresses = inputs.map((array, i) => {
      const { type, label } = values[inputIds[i]];
      if (array.dtype !== type.dtype || !sameShape(array.shape, type.shape)) {
        throw new ShapeError(
          `Cannot launch with ${formatType(array)} as ${label}: the program expects ${formatType(type)}`,
          [array.shape, type.shape],
        );
      }
      if (array instanceof CpuArray && array.device === device) return array.storage;
      throw new DeviceError(
        `Cannot launch with ${
          formatType(array)
        }: the array belongs to another device; read it and upload it to this one`,
        "validation",
      );
    });
    const outputs = outputIds.map((id, i) => {
      const taken = this.#handover.takes[i];
      return taken === undefined ? memory.allocate(values[id].sizeBytes) : addresses[taken];
    });
    const { table } = this.#module;
    if (this.#words.buffer !== memory.wasm.buffer) this.#words = memory.words(this.#table, table.words);
    const words = this.#words;
    // Both move when programs come and go.
    words[table.arena] = arena.address;
    words[table.scratch] = scratch.address;
    words.set(addresses, table.inputs);
    words.set(outputs, table.outputs);
    if (memory.poison) new Uint32Array(memory.wasm.buffer, arena.address, arenaBytes / 4).fill(0x7fc00000);
    return outputs;
  }

  /** Measured nanoseconds of each kernel step of one run, in schedule order, summed over loop iterations. */
  profile(inputs: readonly DeviceArray[]): Promise<readonly number[]> {
    // The first runs let the engine optimise.
    const outputs = this.#prepare(inputs);
    for (let turn = 0; turn < 3; turn++) this.#run();
    const times = this.shaders.map(() => 0),
      numbers = new Map(this.#module.steps.map(({ step }, i) => [step as Step, i]));
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
    const { values, outputs: ids } = this.#plan;
    outputs.forEach((address, i) =>
      this.#handover.takes[i] === undefined && this.#context.memory.free(address, values[ids[i]].sizeBytes)
    );
    return Promise.resolve(times);
  }

  /** Frees the constants, and of arena and scratch memory what no other program needs. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#context.threads.drop(this.#id);
    this.#context.arena.remove(this);
    this.#context.scratch.remove(this);
    for (const { address, sizeBytes } of this.#allocations) this.#context.memory.free(address, sizeBytes);
  }
}

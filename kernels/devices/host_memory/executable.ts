/**
 * A plan on a device whose memory the host sees: constants, the address table, checks and launches. A launch returns
 * when its results are there. How the kernels are called is up to the device.
 */
import { DeviceError, ShapeError } from "../../../core/errors.ts";
import { formatType, sameShape } from "../../../core/shape.ts";
import type { ThreadProgram } from "../../codegen/thread_program.ts";
import type { Device, DeviceArray, Executable } from "../../device.ts";
import { toDeviceBytes } from "../../host_data.ts";
import { type Handover, handoverOf } from "../../in_place.ts";
import type { Plan } from "../../plan.ts";
import { CpuArray } from "./array.ts";
import type { HostMemory } from "./memory.ts";
import type { SharedRange } from "./shared_range.ts";

/** What an executable shares with its device. */
export interface HostMemoryContext {
  readonly device: Device;
  readonly memory: HostMemory;
  /** For the intermediate values of whatever program runs, and for what its threads need beside them. */
  readonly arena: SharedRange;
  readonly scratch: SharedRange;
  readonly threadCount: number;
  /** @throws {DeviceError} once the device was disposed. */
  check(): void;
}

/** What an executable runs. */
export interface LaidProgram {
  readonly plan: Plan;
  /** Positions of the inputs that a launch uses up. */
  readonly donated: readonly number[];
  readonly program: ThreadProgram;
  /** Bytes of scratch memory that each thread needs. */
  readonly scratchBytes: number;
}

/** Words of an address table. */
export type AddressWords = Int32Array | Float64Array;

interface Allocation {
  readonly address: number;
  readonly sizeBytes: number;
}

/** A plan that can be launched. Its device says how. */
export abstract class HostMemoryExecutable implements Executable {
  /** For each kernel step in schedule order, the number of its source text. */
  readonly shaders: readonly number[];
  /** What the threads do. */
  protected readonly program: ThreadProgram;
  #context: HostMemoryContext;
  #plan: Plan;
  #donated: readonly number[];
  #handover: Handover;
  #allocations: Allocation[] = [];
  #constants: readonly (readonly [word: number, address: number])[];
  #disposed = false;

  constructor(context: HostMemoryContext, { plan, donated, program, scratchBytes }: LaidProgram) {
    this.#context = context;
    this.#plan = plan;
    this.#donated = donated;
    this.#handover = handoverOf(plan, donated);
    this.program = program;
    this.shaders = program.steps.map(({ call }) => call.fn);
    const { table } = program;
    this.#constants = [...table.constants].map(([id, word]): [number, number] => {
      const { storage, type, sizeBytes } = plan.values[id];
      const address = this.allocate(sizeBytes);
      if (storage.kind === "constant") {
        const data = toDeviceBytes(storage.data, type.dtype);
        context.memory.bytes(address, data.byteLength).set(
          new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
        );
      }
      return [word, address];
    });
    context.arena.add(this, plan.arenaBytes);
    context.scratch.add(this, scratchBytes * context.threadCount);
  }

  /** Texts of the distinct kernels. */
  abstract get sources(): readonly string[];

  /** The address table, as many words as the program's. Asked for at each launch. */
  protected abstract get table(): AddressWords;

  /** Runs all steps. */
  protected abstract runAll(): void;

  /** Runs all steps one by one and adds the nanoseconds of each to `times`. */
  protected abstract timeSteps(times: number[]): void;

  /** Frees what the device holds for the program. */
  protected abstract release(): void;

  /** Memory that lives as long as the program. */
  protected allocate(sizeBytes: number): number {
    const address = this.#context.memory.allocate(sizeBytes);
    this.#allocations.push({ address, sizeBytes });
    return address;
  }

  /** Runs on arrays of this device and returns new ones. */
  launch(inputs: readonly DeviceArray[]): DeviceArray[] {
    const addresses = this.#prepare(inputs);
    this.runAll();
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
    const { table: { arena: arenaWord, scratch: scratchWord, inputs: inputWord, outputs: outputWord } } = this.program;
    const words = this.table;
    // Both move when programs come and go.
    words[arenaWord] = arena.address;
    words[scratchWord] = scratch.address;
    for (const [word, address] of this.#constants) words[word] = address;
    addresses.forEach((address, i) => words[inputWord + i] = address);
    outputs.forEach((address, i) => words[outputWord + i] = address);
    if (memory.poison) new Uint32Array(memory.buffer, arena.address, arenaBytes / 4).fill(0x7fc00000);
    return outputs;
  }

  /** Measured nanoseconds of each kernel step of one run, in schedule order, summed over loop iterations. */
  profile(inputs: readonly DeviceArray[]): Promise<readonly number[]> {
    const outputs = this.#prepare(inputs);
    // The first runs let the engine optimise, and bring the memory in.
    for (let turn = 0; turn < 3; turn++) this.runAll();
    const times = this.shaders.map(() => 0);
    this.timeSteps(times);
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
    this.release();
    this.#context.arena.remove(this);
    this.#context.scratch.remove(this);
    for (const { address, sizeBytes } of this.#allocations) this.#context.memory.free(address, sizeBytes);
  }
}

/**
 * A plan on a device that computes in host memory: constants, the address table, argument checks and launches, which
 * are synchronous. The device determines how kernels are called.
 */
import { DeviceError, ShapeError } from "../../../core/errors.ts";
import { formatType, sameShape } from "../../../core/shape.ts";
import type { ThreadProgram } from "../../codegen/thread_program.ts";
import type { Device, DeviceArray, Executable } from "../../device.ts";
import { toDeviceBytes } from "../../host_data.ts";
import type { Plan, Value } from "../../plan.ts";
import { type Handover, handoverOf } from "../stored_array.ts";
import { CpuArray } from "./array.ts";
import type { HostMemory } from "./memory.ts";
import type { SharedRange } from "./shared_range.ts";

/** The state that executables share with their device. */
export interface HostMemoryContext {
  readonly device: Device;
  readonly memory: HostMemory;
  /** Memory for the intermediate values of the running program, and for the scratch space of its threads. */
  readonly arena: SharedRange;
  readonly scratch: SharedRange;
  readonly threadCount: number;
  /** @throws {DeviceError} if the device has been disposed. */
  check(): void;
}

/** The program of an executable. */
export interface LaidProgram {
  readonly plan: Plan;
  /** Positions of the inputs that a launch consumes. */
  readonly donated: readonly number[];
  readonly program: ThreadProgram;
  /** Bytes of scratch memory required per thread. */
  readonly scratchBytes: number;
}

/** Number of words of an address table. */
export type AddressWords = Int32Array | Float64Array;

interface Allocation {
  readonly address: number;
  readonly sizeBytes: number;
}

/** A plan that can be launched. Subclasses define how kernels are called. */
export abstract class HostMemoryExecutable implements Executable {
  /** For each kernel step in schedule order, the index of its source text. */
  readonly shaders: readonly number[];
  /** The program that the threads run. */
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
    try {
      this.#constants = [...table.constants].map(([id, word]) => [word, this.#upload(plan.values[id])]);
      context.arena.add(this, plan.arenaBytes);
      context.scratch.add(this, scratchBytes * context.threadCount);
    } catch (error) {
      this.#free();
      throw error;
    }
  }

  #upload({ storage, type: { dtype }, sizeBytes }: Value): number {
    const address = this.allocate(sizeBytes);
    if (storage.kind === "constant") {
      const { buffer, byteOffset, byteLength } = toDeviceBytes(storage.data, dtype);
      this.#context.memory.bytes(address, byteLength).set(new Uint8Array(buffer, byteOffset, byteLength));
    }
    return address;
  }

  /** The source texts of the distinct kernels. */
  abstract get sources(): readonly string[];

  /** The address table, with as many words as the program requires. Called at each launch. */
  protected abstract get table(): AddressWords;

  /** Runs all steps. */
  protected abstract runAll(): void;

  /** Runs all steps one by one and adds the nanoseconds of each to `times`. */
  protected abstract timeSteps(times: number[]): void;

  /** Releases the device's resources of the program. */
  protected abstract release(): void;

  /** Allocates memory that is freed with the program. */
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

  /** Takes ownership of the memory of donated inputs, and frees what no output reuses. */
  #useUp(inputs: readonly DeviceArray[]): void {
    for (const position of this.#donated) {
      const array = inputs[position] as CpuArray;
      const address = array.take();
      if (this.#handover.freed.includes(position)) this.#context.memory.free(address, array.sizeBytes);
    }
  }

  /**
   * Checks the inputs, allocates the outputs, and writes the addresses of both to the table. Returns the outputs'
   * addresses.
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
    // Both may move when programs are loaded or disposed.
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
    // The first runs give the engine time to optimise, and page in the memory.
    for (let turn = 0; turn < 3; turn++) this.runAll();
    const times = this.shaders.map(() => 0);
    this.timeSteps(times);
    const { values, outputs: ids } = this.#plan;
    outputs.forEach((address, i) =>
      this.#handover.takes[i] === undefined && this.#context.memory.free(address, values[ids[i]].sizeBytes)
    );
    return Promise.resolve(times);
  }

  /** Frees the constants, and arena and scratch memory that no other program needs. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.release();
    this.#free();
  }

  #free(): void {
    this.#context.arena.remove(this);
    this.#context.scratch.remove(this);
    for (const { address, sizeBytes } of this.#allocations) this.#context.memory.free(address, sizeBytes);
  }
}

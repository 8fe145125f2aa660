/** Runs a plan's module: fills the address table and calls it on all threads. A launch returns when its results are there. */
import { DeviceError, ShapeError } from "../../core/errors.ts";
import { formatType, sameShape } from "../../core/shape.ts";
import type { Device, DeviceArray, Executable } from "../device.ts";
import { toDeviceBytes } from "../host_data.ts";
import type { Plan, Step } from "../plan.ts";
import { CpuArray } from "./array.ts";
import type { CpuMemory } from "./memory.ts";
import type { CpuModule } from "./module.ts";
import { MAX_LOOPS, type ProgramExports, type Threads } from "./threads.ts";

/** What an executable shares with its device. */
export interface CpuContext {
  readonly device: Device;
  readonly memory: CpuMemory;
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
  readonly sources: readonly string[];
  readonly shaders: readonly number[];
  #context: CpuContext;
  #plan: Plan;
  #module: CpuModule;
  #exports: ProgramExports;
  #id: number;
  #allocations: Allocation[] = [];
  #table: number;
  #disposed = false;

  /** @param id The number under which the workers know the module. */
  constructor(context: CpuContext, plan: Plan, module: CpuModule, exports: ProgramExports, id: number) {
    this.#context = context;
    this.#plan = plan;
    this.#module = module;
    this.#exports = exports;
    this.#id = id;
    this.sources = module.sources;
    this.shaders = module.shaders;
    const { table } = module;
    this.#table = this.#allocate(4 * table.words);
    const arena = this.#allocate(plan.arenaBytes), scratch = this.#allocate(module.scratchBytes * context.threads.count);
    const constants = [...table.constants].map(([id, word]): [number, number] => {
      const { storage, type, sizeBytes } = plan.values[id];
      const address = this.#allocate(sizeBytes);
      if (storage.kind === "constant") {
        const data = toDeviceBytes(storage.data, type.dtype);
        context.memory.bytes(address, data.byteLength).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      }
      return [word, address];
    });
    const words = context.memory.words(this.#table, table.words);
    words[table.arena] = arena;
    words[table.scratch] = scratch;
    for (const [word, address] of constants) words[word] = address;
  }

  #allocate(sizeBytes: number): number {
    const address = this.#context.memory.allocate(sizeBytes);
    this.#allocations.push({ address, sizeBytes });
    return address;
  }

  /** Runs on arrays of this device and returns new ones. */
  launch(inputs: readonly DeviceArray[]): DeviceArray[] {
    const outputs = this.#prepare(inputs);
    this.#run();
    return outputs;
  }

  #run(step?: number, loops?: readonly number[]): void {
    this.#context.threads.run({ id: this.#id, exports: this.#exports, table: this.#table, parallel: this.#module.parallel, step, loops });
  }

  /** Checks the inputs, makes the outputs, and writes the addresses of both to the table. */
  #prepare(inputs: readonly DeviceArray[]): CpuArray[] {
    const { device, memory } = this.#context;
    this.#context.check();
    if (this.#disposed) throw new DeviceError("Cannot launch the program: it was disposed", "disposed");
    const { values, inputs: inputIds, outputs: outputIds, arenaBytes } = this.#plan;
    if (inputs.length !== inputIds.length) {
      throw new ShapeError(`Cannot launch the program with ${inputs.length} arrays: it has ${inputIds.length} inputs`);
    }
    const addresses = inputs.map((array, i) => {
      const { type, label } = values[inputIds[i]];
      if (array.dtype !== type.dtype || !sameShape(array.shape, type.shape)) {
        throw new ShapeError(`Cannot launch with ${formatType(array)} as ${label}: the program expects ${formatType(type)}`, [array.shape, type.shape]);
      }
      if (array instanceof CpuArray && array.device === device) return array.address;
      throw new DeviceError(`Cannot launch with ${formatType(array)}: the array belongs to another device; read it and upload it to this one`, "validation");
    });
    const outputs = outputIds.map((id) => {
      const { type: { shape, dtype }, sizeBytes } = values[id];
      return new CpuArray(device, memory, memory.allocate(sizeBytes), shape, dtype);
    });
    const { table } = this.#module;
    const words = memory.words(this.#table, table.words);
    words.set(addresses, table.inputs);
    words.set(outputs.map(({ address }) => address), table.outputs);
    if (memory.poison) new Uint32Array(memory.wasm.buffer, words[table.arena] >>> 0, arenaBytes / 4).fill(0x7fc00000);
    return outputs;
  }

  /** Measured nanoseconds of each kernel step of one run, in schedule order, summed over loop iterations. */
  profile(inputs: readonly DeviceArray[]): Promise<readonly number[]> {
    // The first runs let the engine optimise.
    for (let turn = 0; turn < 3; turn++) this.launch(inputs).forEach((output) => output.dispose());
    const outputs = this.#prepare(inputs);
    const times = this.shaders.map(() => 0), numbers = new Map(this.#module.steps.map(({ step }, i) => [step as Step, i]));
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
    outputs.forEach((output) => output.dispose());
    return Promise.resolve(times);
  }

  /** Frees the arena and the constants. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#context.threads.drop(this.#id);
    for (const { address, sizeBytes } of this.#allocations) this.#context.memory.free(address, sizeBytes);
  }
}

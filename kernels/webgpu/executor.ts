/**
 * Runs a plan: one command encoder, one compute pass and one submit a launch.
 *
 * Everything that does not depend on the caller's arrays is made when the program is loaded: pipelines, the arena, the constants, the bind groups of kernels
 * that touch nothing else, and the loop indices of every iteration. The bind groups of the other kernels are cached by the buffers they touch, so
 * that a steady loop of launches makes none.
 */
import { DeviceError, invariant, ShapeError } from "../../core/errors.ts";
import { formatType, sameShape } from "../../core/shape.ts";
import type { Device, DeviceArray, Executable } from "../device.ts";
import type { KernelStep, Plan, ValueId } from "../plan.ts";
import { WebGpuArray } from "./array.ts";
import type { PoolBuffer } from "./buffers.ts";
import { type CommandList, MAX_LOOP_DEPTH } from "./commands.ts";
import type { GpuContext } from "./context.ts";
import { fence } from "./host.ts";
import { nanosecondsOf, TIMED_DISPATCHES } from "./timer.ts";
import type { WgslKernel } from "./print_wgsl.ts";

/** A compiled kernel: its pipeline and what to bind. */
export interface CompiledKernel {
  readonly wgsl: WgslKernel;
  readonly shader: number;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** Where an operand is bound: in a buffer of the program, or in the buffer of an input or output (by slot: inputs, then outputs). */
interface Place {
  readonly buffer: GPUBuffer | number;
  readonly offset: number;
  readonly size: number;
}

interface BoundKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly workgroups: readonly [number, number, number];
  readonly empty: boolean;
  readonly bindings: readonly { readonly binding: number; readonly place: Place }[];
  /** The slots that it touches; empty if the bind group never changes. */
  readonly slots: readonly number[];
  readonly groups: Map<string, GPUBindGroup>;
}

/** Bind groups kept for one kernel: loops of launches cycle through few combinations of buffers. */
const GROUPS_KEPT = 16;

/** A plan on a WebGPU device. */
export class WebGpuExecutable implements Executable {
  readonly sources: readonly string[];
  readonly shaders: readonly number[];
  #device: Device;
  #context: GpuContext;
  #plan: Plan;
  #commands: CommandList;
  #arena: readonly GPUBuffer[];
  #constants = new Map<ValueId, PoolBuffer>();
  #kernels: readonly BoundKernel[];
  #loopBuffer: GPUBuffer;
  #loopGroup: GPUBindGroup;
  #loopStride: number;
  #disposed = false;

  /**
   * @param kernels One for each kernel step in schedule order.
   * @param sources The distinct source texts.
   * @param constants The uploaded constants, which the executable owns from now on.
   */
  constructor(
    device: Device,
    context: GpuContext,
    { plan, commands, kernels, sources, constants }: {
      readonly plan: Plan;
      readonly commands: CommandList;
      readonly kernels: readonly CompiledKernel[];
      readonly sources: readonly string[];
      readonly constants: Map<ValueId, PoolBuffer>;
    },
  ) {
    this.#device = device;
    this.#context = context;
    this.#plan = plan;
    this.#commands = commands;
    this.sources = sources;
    this.shaders = kernels.map(({ shader }) => shader);
    this.#constants = constants;
    this.#arena = makeArena(context, plan);
    this.#kernels = commands.steps.map((step, i) => this.#bind(step, kernels[i]));
    this.#loopStride = Math.max(32, context.gpu.limits.minUniformBufferOffsetAlignment);
    this.#loopBuffer = makeLoopBuffer(context, commands.tuples, this.#loopStride);
    this.#loopGroup = context.createBindGroup(context.pipelines.loopLayout, [
      { binding: 0, resource: { buffer: this.#loopBuffer, offset: 0, size: 32 } },
    ]);
    context.guard("bind the operands of a kernel", () => {
      for (const kernel of this.#kernels) if (kernel.slots.length === 0) this.#group(kernel, []);
    });
    context.programs.add(this);
  }

  #bind(step: KernelStep, { wgsl, pipeline, layout }: CompiledKernel): BoundKernel {
    const bindings = wgsl.bindings.map(({ binding, operand }) => ({ binding, place: this.#place(step.operands[operand]) }));
    const slots = [...new Set(bindings.map(({ place: { buffer } }) => buffer).filter((buffer) => typeof buffer === "number"))];
    return { pipeline, layout, workgroups: wgsl.workgroups, empty: wgsl.workgroups.includes(0), bindings, slots, groups: new Map() };
  }

  #place(id: ValueId): Place {
    const { values, offsets, bufferBytes, inputs } = this.#plan;
    const value = values[id];
    const { storage } = value;
    // A shader may address whole vec4s; memory is padded to 256 bytes everywhere.
    const size = Math.ceil(value.sizeBytes / 16) * 16;
    switch (storage.kind) {
      case "input":
        return { buffer: storage.position, offset: 0, size };
      case "output":
        return { buffer: inputs.length + storage.position, offset: 0, size };
      case "constant":
        return { buffer: this.#constants.get(id)!.gpu, offset: 0, size };
      case "temporary": {
        const offset = offsets.get(id);
        invariant(offset !== undefined, `${value.label} has no place in the arena`);
        const cut = bufferBytes === Infinity ? 0 : Math.floor(offset / bufferBytes);
        return { buffer: this.#arena[cut], offset: cut === 0 ? offset : offset - cut * bufferBytes, size };
      }
      case "alias": {
        const base = this.#place(storage.of);
        return { ...base, offset: base.offset + storage.byteOffset, size };
      }
    }
  }

  /** Runs on arrays of this device and returns new ones, without waiting. */
  launch(inputs: readonly DeviceArray[]): DeviceArray[] {
    return this.#run(inputs, (slots) =>
      this.#context.guard("launch a program", () => {
        const encoder = this.#context.gpu.createCommandEncoder();
        const copies = this.#separate(encoder, slots);
        const pass = encoder.beginComputePass();
        this.#encode(pass, slots, 0, this.#commands.sequence.length);
        pass.end();
        this.#context.submit(encoder.finish());
        for (const copy of copies) this.#context.release(copy);
      }));
  }

  /** Checks and resolves the inputs, makes the outputs, and has `submit` run with both. */
  #run(inputs: readonly DeviceArray[], submit: (slots: PoolBuffer[]) => void): WebGpuArray[] {
    this.#context.health.check();
    if (this.#disposed) throw new DeviceError("Cannot launch the program: it was disposed", "disposed");
    const { values, inputs: inputIds, outputs: outputIds } = this.#plan;
    if (inputs.length !== inputIds.length) {
      throw new ShapeError(`Cannot launch the program with ${inputs.length} arrays: it has ${inputIds.length} inputs`);
    }
    const slots = inputs.map((array, i) => {
      const { type, label } = values[inputIds[i]];
      if (array.dtype !== type.dtype || !sameShape(array.shape, type.shape)) {
        throw new ShapeError(`Cannot launch with ${formatType(array)} as ${label}: the program expects ${formatType(type)}`, [array.shape, type.shape]);
      }
      return this.#own(array).buffer;
    });
    const outputs = outputIds.map((id) => {
      const { type, sizeBytes } = values[id];
      return new WebGpuArray(this.#device, this.#context, this.#context.acquire(sizeBytes), type.shape, type.dtype);
    });
    slots.push(...outputs.map(({ buffer }) => buffer));
    if (this.#context.poison) this.#arena.forEach((buffer) => this.#context.fillWithNan(buffer, buffer.size));
    submit(slots);
    return outputs;
  }

  #own(array: DeviceArray): WebGpuArray {
    if (array instanceof WebGpuArray && array.device === this.#device) return array;
    throw new DeviceError(`Cannot launch with ${formatType(array)}: the array belongs to another device; read it and upload it to this one`, "validation");
  }

  /** Copies inputs given twice: browsers refuse one buffer at two writable bindings, and every binding is declared writable. */
  #separate(encoder: GPUCommandEncoder, slots: PoolBuffer[]): PoolBuffer[] {
    const copies: PoolBuffer[] = [];
    const seen = new Set<PoolBuffer>();
    slots.forEach((buffer, i) => {
      if (!seen.has(buffer)) {
        seen.add(buffer);
        return;
      }
      const copy = this.#context.acquire(buffer.sizeBytes);
      encoder.copyBufferToBuffer(buffer.gpu, 0, copy.gpu, 0, buffer.sizeBytes);
      slots[i] = copy;
      copies.push(copy);
    });
    return copies;
  }

  #encode(pass: GPUComputePassEncoder, slots: readonly PoolBuffer[], from: number, to: number): void {
    const { sequence, tuple } = this.#commands;
    // Looked up once a launch: a loop's kernels are dispatched many times.
    const groups: (GPUBindGroup | undefined)[] = new Array(this.#kernels.length);
    let pipeline: GPUComputePipeline | undefined, group: GPUBindGroup | undefined, loop = -1;
    for (let i = from; i < to; i++) {
      const number = sequence[i];
      const kernel = this.#kernels[number];
      if (kernel.empty) continue;
      if (kernel.pipeline !== pipeline) pass.setPipeline(pipeline = kernel.pipeline);
      const needed = groups[number] ??= this.#group(kernel, slots);
      if (needed !== group) pass.setBindGroup(0, group = needed);
      if (tuple[i] !== loop) pass.setBindGroup(1, this.#loopGroup, [(loop = tuple[i]) * this.#loopStride]);
      pass.dispatchWorkgroups(...kernel.workgroups);
    }
  }

  #group(kernel: BoundKernel, slots: readonly PoolBuffer[]): GPUBindGroup {
    const key = kernel.slots.length === 0 ? "" : kernel.slots.map((slot) => slots[slot].id).join();
    let group = kernel.groups.get(key);
    if (group) {
      if (kernel.groups.size > 1) {
        // Most recently used last.
        kernel.groups.delete(key);
        kernel.groups.set(key, group);
      }
      return group;
    }
    const entries = kernel.bindings.map(({ binding, place: { buffer, offset, size } }): GPUBindGroupEntry => ({
      binding,
      resource: { buffer: typeof buffer === "number" ? slots[buffer].gpu : buffer, offset, size },
    }));
    group = this.#context.createBindGroup(kernel.layout, entries);
    kernel.groups.set(key, group);
    if (kernel.groups.size > GROUPS_KEPT) kernel.groups.delete(kernel.groups.keys().next().value!);
    return group;
  }

  /** Measured nanoseconds of each kernel step of one run, in schedule order, summed over loop iterations. */
  async profile(inputs: readonly DeviceArray[]): Promise<readonly number[]> {
    const times = this.#commands.steps.map(() => 0);
    let work: Promise<void> = Promise.resolve();
    // The first run lets the driver finish its compilation.
    this.launch(inputs).forEach((output) => output.dispose());
    const outputs = this.#run(inputs, (slots) => {
      work = this.#context.gpu.features.has("timestamp-query") ? this.#profileTimed(slots, times) : this.#profileFenced(slots, times);
    });
    await work;
    await this.#context.health.settle();
    outputs.forEach((output) => output.dispose());
    return times;
  }

  async #profileTimed(slots: readonly PoolBuffer[], times: number[]): Promise<void> {
    const { sequence } = this.#commands;
    for (let from = 0; from < sequence.length; from += TIMED_DISPATCHES) {
      const count = Math.min(TIMED_DISPATCHES, sequence.length - from);
      const measured = await nanosecondsOf(this.#context, count, (pass, i) => this.#encode(pass, slots, from + i, from + i + 1));
      measured.forEach((time, i) => times[sequence[from + i]] += time);
    }
  }

  async #profileFenced(slots: readonly PoolBuffer[], times: number[]): Promise<void> {
    const { gpu } = this.#context;
    const { sequence } = this.#commands;
    await fence(gpu.queue);
    for (let i = 0; i < sequence.length; i++) {
      const encoder = gpu.createCommandEncoder();
      const pass = encoder.beginComputePass();
      this.#encode(pass, slots, i, i + 1);
      pass.end();
      const start = performance.now();
      this.#context.submit(encoder.finish());
      await fence(gpu.queue);
      times[sequence[i]] += (performance.now() - start) * 1e6;
    }
  }

  /** Frees the arena and the constants. Work already launched still ends. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#context.programs.delete(this);
    for (const buffer of this.#arena) buffer.destroy();
    this.#loopBuffer.destroy();
    for (const buffer of this.#constants.values()) this.#context.release(buffer);
  }
}

function makeArena(context: GpuContext, { arenaBytes, bufferBytes }: Plan): GPUBuffer[] {
  const buffers: GPUBuffer[] = [];
  for (let start = 0; start < arenaBytes; start += bufferBytes) {
    const size = Math.min(bufferBytes, arenaBytes - start);
    buffers.push(context.createBuffer(size, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST, "a program's intermediate values"));
  }
  return buffers;
}

/** Loop indices of every tuple, then the bits of NaN and infinity, which WGSL cannot write as literals. */
function makeLoopBuffer(context: GpuContext, tuples: Uint32Array, strideBytes: number): GPUBuffer {
  const stride = strideBytes / 4;
  const count = tuples.length / MAX_LOOP_DEPTH;
  const words = new Uint32Array(count * stride);
  for (let i = 0; i < count; i++) {
    words.set(tuples.subarray(i * MAX_LOOP_DEPTH, (i + 1) * MAX_LOOP_DEPTH), i * stride);
    words.set([0x7fc00000, 0x7f800000, 0, 0], i * stride + MAX_LOOP_DEPTH);
  }
  const buffer = context.createBuffer(words.byteLength, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST, "loop indices");
  context.write(buffer, words);
  return buffer;
}

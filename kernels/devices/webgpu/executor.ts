/**
 * Runs a plan with one command encoder and one submit per launch, and one compute pass except where kernels read copies
 * in textures (texels.ts).
 *
 * Everything that does not depend on the caller's arrays is created when the program is loaded: pipelines, the arena,
 * the constants, the bind groups of kernels that access nothing else, and the loop indices of every iteration. The
 * other bind groups are cached by their buffers, so that repeated launches create none.
 */
import { DeviceError, ShapeError } from "../../../core/errors.ts";
import { formatType, sameShape } from "../../../core/shape.ts";
import type { Device, DeviceArray, Executable } from "../../device.ts";
import type { Plan, ValueId } from "../../plan.ts";
import { type Handover, handoverOf } from "../stored_array.ts";
import { WebGpuArray } from "./array.ts";
import type { PoolBuffer } from "./buffers.ts";
import { BoundKernel, type CompiledKernel, Places } from "./bound_kernel.ts";
import type { CommandList } from "./commands.ts";
import type { GpuContext } from "./context.ts";
import { fence } from "./host.ts";
import { loadProfiler } from "./parts.ts";
import { makeArena, makeLoopBuffer } from "./program_buffers.ts";
import type { ProgramTexels } from "./texels.ts";

/** A plan loaded on a WebGPU device. */
export class WebGpuExecutable implements Executable {
  readonly sources: readonly string[];
  readonly shaders: readonly number[];
  #device: Device;
  #context: GpuContext;
  #plan: Plan;
  #donated: readonly number[];
  #handover: Handover;
  #commands: CommandList;
  #arena: GPUBuffer[];
  #constants = new Map<ValueId, PoolBuffer>();
  #releasePipelines: () => void;
  #texels: ProgramTexels | undefined;
  #kernels: readonly BoundKernel[];
  #loopBuffer: GPUBuffer;
  #loopGroup: GPUBindGroup;
  #loopStride: number;
  #disposed = false;

  /**
   * @param donated Positions of the inputs that a launch consumes.
   * @param kernels One per kernel step, in schedule order.
   * @param sources The distinct source texts.
   * @param constants The uploaded constants, which the executable takes ownership of.
   * @param texels What copies operands to textures; missing where kernels read none.
   * @param releasePipelines Called when the kernels are no longer used.
   */
  constructor(
    device: Device,
    context: GpuContext,
    { plan, donated, commands, kernels, sources, constants, texels, releasePipelines }: {
      readonly plan: Plan;
      readonly donated: readonly number[];
      readonly commands: CommandList;
      readonly kernels: readonly CompiledKernel[];
      readonly sources: readonly string[];
      readonly constants: Map<ValueId, PoolBuffer>;
      readonly texels?: typeof ProgramTexels;
      readonly releasePipelines: () => void;
    },
  ) {
    this.#device = device;
    this.#context = context;
    this.#plan = plan;
    this.#donated = donated;
    this.#handover = handoverOf(plan, donated);
    this.#commands = commands;
    this.sources = sources;
    this.shaders = kernels.map(({ shader }) => shader);
    this.#constants = constants;
    this.#releasePipelines = releasePipelines;
    this.#arena = makeArena(context, plan);
    const places = new Places(plan, this.#arena, constants);
    this.#texels = texels && new texels(context, { plan, commands, kernels: kernels.map(({ wgsl }) => wgsl), places });
    this.#kernels = commands.steps.map((step, i) => {
      const viewOf = (binding: number) => this.#texels!.viewOf(i, binding);
      return new BoundKernel(context, step, kernels[i], { places, viewOf });
    });
    this.#loopStride = Math.max(32, context.gpu.limits.minUniformBufferOffsetAlignment);
    this.#loopBuffer = makeLoopBuffer(context, commands.tuples, this.#loopStride);
    this.#loopGroup = context.createBindGroup(context.pipelines.loopLayout, [
      { binding: 0, resource: { buffer: this.#loopBuffer, offset: 0, size: 32 } },
    ]);
    context.guard("bind the operands of a kernel", () => {
      for (const kernel of this.#kernels) if (kernel.slots.length === 0) kernel.group([]);
    });
    context.programs.add(this);
  }

  /** Runs on arrays of this device and returns new ones, without waiting. */
  launch(inputs: readonly DeviceArray[]): DeviceArray[] {
    const { slots, outputs } = this.#prepare(inputs);
    this.#submit(slots);
    this.#useUp(inputs);
    return outputs.map((buffer, i) => {
      const { shape, dtype } = this.#plan.values[this.#plan.outputs[i]].type;
      return new WebGpuArray(this.#device, this.#context, buffer, shape, dtype);
    });
  }

  #submit(slots: PoolBuffer[]): void {
    this.#context.guard("launch a program", () => {
      const encoder = this.#context.gpu.createCommandEncoder();
      const copies = this.#separate(encoder, slots);
      this.#encode(encoder, slots, { from: 0, to: this.#commands.sequence.length });
      this.#context.submit(encoder.finish());
      for (const copy of copies) this.#context.release(copy);
    });
  }

  /** Takes ownership of the buffers of donated inputs, and frees those that no output reuses. */
  #useUp(inputs: readonly DeviceArray[]): void {
    for (const position of this.#donated) {
      const buffer = this.#own(inputs[position]).take();
      if (this.#handover.freed.includes(position)) this.#context.release(buffer);
    }
  }

  /** Checks and resolves the inputs and creates the outputs. Returns all buffers, and those of the outputs. */
  #prepare(inputs: readonly DeviceArray[]): { slots: PoolBuffer[]; outputs: PoolBuffer[] } {
    this.#context.health.check();
    if (this.#disposed) throw new DeviceError("Cannot launch the program: it was disposed", "disposed");
    const { values, inputs: inputIds, outputs: outputIds } = this.#plan;
    if (inputs.length !== inputIds.length) {
      throw new ShapeError(`Cannot launch the program with ${inputs.length} arrays: it has ${inputIds.length} inputs`);
    }
    const slots = inputs.map((array, i) => {
      const { type, label } = values[inputIds[i]];
      if (array.dtype !== type.dtype || !sameShape(array.shape, type.shape)) {
        throw new ShapeError(
          `Cannot launch with ${formatType(array)} as ${label}: the program expects ${formatType(type)}`,
          [array.shape, type.shape],
        );
      }
      return this.#own(array).storage;
    });
    this.#context.flushReads();
    const outputs = outputIds.map((id, i) => {
      const taken = this.#handover.takes[i];
      return taken === undefined ? this.#context.acquire(values[id].sizeBytes) : slots[taken];
    });
    slots.push(...outputs);
    if (this.#context.poison) this.#arena.forEach((buffer) => this.#context.fillWithNan(buffer, buffer.size));
    return { slots, outputs };
  }

  #own(array: DeviceArray): WebGpuArray {
    if (array instanceof WebGpuArray && array.device === this.#device) return array;
    throw new DeviceError(
      `Cannot launch with ${formatType(array)}: the array belongs to another device; read it and upload it to this one`,
      "validation",
    );
  }

  /**
   * Copies inputs that are passed twice: browsers reject one buffer in two writable bindings, and every binding is
   * declared writable.
   */
  #separate(encoder: GPUCommandEncoder, slots: PoolBuffer[]): PoolBuffer[] {
    const copies: PoolBuffer[] = [];
    const seen = new Set<PoolBuffer>();
    // Outputs have buffers of their own, or that of a donated input, which is passed only once.
    slots.slice(0, this.#plan.inputs.length).forEach((buffer, i) => {
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

  /** Encodes dispatches in as few passes as copies to textures allow. */
  #encode(
    encoder: GPUCommandEncoder,
    slots: readonly PoolBuffer[],
    { from, to, timestampWrites }: {
      readonly from: number;
      readonly to: number;
      readonly timestampWrites?: GPUComputePassTimestampWrites;
    },
  ): void {
    const { sequence, tuple } = this.#commands;
    let pass: GPUComputePassEncoder | undefined;
    // Hoisted out of the loop: the kernels of a loop are dispatched many times.
    const groups: (GPUBindGroup | undefined)[] = new Array(this.#kernels.length);
    let pipeline: GPUComputePipeline | undefined, group: GPUBindGroup | undefined, loop = -1;
    for (let i = from; i < to; i++) {
      const number = sequence[i];
      const kernel = this.#kernels[number];
      if (kernel.isEmpty) continue;
      const copies = this.#texels?.copiesBefore(i);
      if (copies) {
        pass?.end();
        pass = undefined;
        for (const copy of copies) this.#texels!.copy(encoder, copy, slots);
      }
      if (!pass) {
        pass = encoder.beginComputePass({ timestampWrites });
        [pipeline, group, loop] = [undefined, undefined, -1];
      }
      if (kernel.pipeline !== pipeline) pass.setPipeline(pipeline = kernel.pipeline);
      const needed = groups[number] ??= kernel.group(slots);
      if (needed !== group) pass.setBindGroup(0, group = needed);
      if (tuple[i] !== loop) pass.setBindGroup(1, this.#loopGroup, [(loop = tuple[i]) * this.#loopStride]);
      pass.dispatchWorkgroups(...kernel.workgroups);
    }
    pass?.end();
  }

  /** Measured nanoseconds of each kernel step of one run, in schedule order, summed over loop iterations. */
  async profile(inputs: readonly DeviceArray[]): Promise<readonly number[]> {
    const timeDispatches = await loadProfiler(), times = this.#commands.steps.map(() => 0);
    const { slots, outputs } = this.#prepare(inputs);
    // The first run lets the driver finish compiling.
    this.#submit([...slots]);
    const { sequence } = this.#commands;
    await timeDispatches(this.#context, sequence.length, {
      encode: (encoder, i, timestampWrites) => this.#encode(encoder, slots, { from: i, to: i + 1, timestampWrites }),
      fence,
      measured: (i, time) => times[sequence[i]] += time,
    });
    await this.#context.health.settle();
    outputs.forEach((buffer, i) => this.#handover.takes[i] === undefined && this.#context.release(buffer));
    return times;
  }

  /** Frees the arena and the constants. Work that was already launched still completes. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#context.programs.delete(this);
    for (const buffer of [...this.#arena, this.#loopBuffer]) this.#context.destroyBuffer(buffer);
    this.#texels?.dispose();
    for (const buffer of this.#constants.values()) this.#context.release(buffer);
    this.#context.dropBindGroups(this.#kernels.reduce((count, { groupCount }) => count + groupCount, 1));
    this.#releasePipelines();
    // Whoever keeps the program does not keep these alive.
    this.#arena.length = 0;
    [this.#texels, this.#kernels] = [undefined, []];
    this.#constants.clear();
  }
}

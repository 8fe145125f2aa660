/**
 * Runs hand-built kernels twice: straight from their meaning in f64, and printed, on a WebGPU adapter. For the
 * printer's tests and micro-benchmarks.
 */
import type { DType } from "../../core/dtype.ts";
import { hostArray } from "../../core/dtype.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import type { TexelPart } from "../../kernels/devices/webgpu/print_texels.ts";
import { printWgsl } from "./print_wgsl.ts";
import type { PrintTarget, WgslKernel } from "../../kernels/devices/webgpu/print_wgsl.ts";
import { rectanglesOf, TEXEL_ROW_BYTES } from "../../kernels/devices/webgpu/texels.ts";
import { compileKernel, type KernelMemory } from "./kernel_code.ts";

/** Elements of one operand. */
export type Elements = Float32Array | Int32Array | Uint32Array;

/** Runs a kernel by its meaning, on copies of the operands. */
export function runReference(kernel: Kernel, data: readonly Elements[], loops: readonly number[] = []): Elements[] {
  const copies = data.map((elements) => elements.slice());
  const memory: KernelMemory = {
    load: (operand, index) => copies[operand][index],
    store: (operand, index, value) => copies[operand][index] = value,
    invocation: () => {},
  };
  compileKernel(kernel, "count")(memory, new Map(kernel.loops.map((variable, at) => [variable.id, loops[at]])));
  return copies;
}

/** Elements that tell apart positions: random, between -1 and 1 for floats, small for integers. */
export function randomElements(dtype: DType, size: number, seed: number): Elements {
  const out = hostArray(dtype, size);
  let state = (seed * 2654435761 + 12345) >>> 0;
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const unit = state / 4294967296;
    out[at] = dtype === "f32"
      ? 2 * unit - 1
      : dtype === "bool"
      ? Number(unit > 0.5)
      : Math.floor(unit * 16) - (dtype === "i32" ? 8 : 0);
  }
  return out;
}

const SAMPLE_TYPES = { f32: "unfilterable-float", i32: "sint", u32: "uint" } as const;

/** A WebGPU adapter with what a printer must know of it. */
export class Gpu {
  private constructor(readonly device: GPUDevice, readonly description: string) {}

  /** Opens the machine's adapter. */
  static async open(): Promise<Gpu> {
    Deno.env.set("NODEVICE_SELECT", "1");
    const adapter = await navigator.gpu.requestAdapter();
    if (!adapter) throw new Error("No WebGPU adapter: install mesa-vulkan-drivers and libvulkan1");
    const device = await adapter.requestDevice({
      requiredFeatures: adapter.features.has("timestamp-query") ? ["timestamp-query"] : [],
      requiredLimits: {
        maxStorageBuffersPerShaderStage: adapter.limits.maxStorageBuffersPerShaderStage,
        minStorageBufferOffsetAlignment: adapter.limits.minStorageBufferOffsetAlignment,
      },
    });
    return new Gpu(device, adapter.info.description);
  }

  /** The printer's target for a style on this device. */
  target(style: PrintTarget["style"], texels?: PrintTarget["texels"]): PrintTarget {
    const { limits } = this.device;
    return {
      style,
      texels,
      maxWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
      maxInvocations: limits.maxComputeInvocationsPerWorkgroup,
      maxWorkgroupBytes: limits.maxComputeWorkgroupStorageSize,
    };
  }

  /** Prints a kernel and makes its pipeline. @throws with the source text if WGSL refuses it. */
  async compile(kernel: Kernel, target: PrintTarget): Promise<{ printed: WgslKernel; pipeline: GPUComputePipeline }> {
    const printed = printWgsl(kernel, target);
    this.device.pushErrorScope("validation");
    const module = this.device.createShaderModule({ code: printed.source });
    const storage = printed.bindings.map(({ binding, texels }): GPUBindGroupLayoutEntry => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      ...(texels ? { texture: { sampleType: SAMPLE_TYPES[texels.type] } } : { buffer: { type: "storage" } }),
    }));
    const uniform = { binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: "uniform" as const } };
    const groups: GPUBindGroupLayout[] = [storage, ...(printed.usesLoops ? [[uniform]] : [])].map((entries) =>
      this.device.createBindGroupLayout({ entries })
    );
    const layout = this.device.createPipelineLayout({ bindGroupLayouts: groups });
    const pipeline = this.device.createComputePipeline({ layout, compute: { module, entryPoint: printed.entryPoint } });
    const error = await this.device.popErrorScope();
    if (error) throw new Error(`${error.message}\n${printed.source}`);
    return { printed, pipeline };
  }

  /** Uploads operands; sizes are rounded up to whole elements only. */
  buffers(data: readonly Elements[]): GPUBuffer[] {
    return data.map((elements) => {
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
      const buffer = this.device.createBuffer({ size: Math.max(4, elements.byteLength), usage });
      this.device.queue.writeBuffer(buffer, 0, elements as BufferSource);
      return buffer;
    });
  }

  /** A texture filled with the part of a buffer that a printed kernel reads through it. */
  texture(
    { type, lanes, first, strides, elements }: TexelPart,
    buffer: GPUBuffer,
    loops: readonly number[],
  ): GPUTexture {
    const width = TEXEL_ROW_BYTES / 4 / lanes;
    const format = `${lanes === 4 ? "rgba" : "r"}32${
      { f32: "float", i32: "sint", u32: "uint" }[type]
    }` as GPUTextureFormat;
    const size = [width, Math.ceil(elements / lanes / width)];
    const texture = this.device.createTexture({
      format,
      size,
      usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST,
    });
    const startByte = 4 * strides.reduce((at, stride, loop) => at + stride * loops[loop], first);
    const encoder = this.device.createCommandEncoder();
    for (
      const { byte, origin, size } of rectanglesOf(
        { startByte, endByte: startByte + 4 * elements },
        buffer.size,
        4 * lanes,
      )
    ) {
      encoder.copyBufferToTexture({ buffer, offset: byte, bytesPerRow: TEXEL_ROW_BYTES }, { texture, origin }, size);
    }
    this.device.queue.submit([encoder.finish()]);
    return texture;
  }

  /** Bind groups of a printed kernel. */
  bind(
    pipeline: GPUComputePipeline,
    printed: WgslKernel,
    buffers: readonly GPUBuffer[],
    loops: readonly number[] = [],
  ): GPUBindGroup[] {
    const entries = printed.bindings.map(({ binding, operand, texels, piece }): GPUBindGroupEntry => {
      const buffer = buffers[operand];
      if (texels) return { binding, resource: this.texture(texels, buffer, loops).createView() };
      if (!piece) return { binding, resource: { buffer } };
      const { start: offset, bytes } = piece;
      return { binding, resource: { buffer, offset, size: Math.min(bytes, buffer.size - offset) } };
    });
    const groups = [this.device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries })];
    if (!printed.usesLoops) return groups;
    const uniform = this.device.createBuffer({ size: 32, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
    const words = [0, 1, 2, 3].map((at) => loops[at] ?? 0);
    this.device.queue.writeBuffer(uniform, 0, new Uint32Array([...words, 0x7fc00000, 0x7f800000, 0, 0]));
    const layout = pipeline.getBindGroupLayout(1);
    return [
      ...groups,
      this.device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: uniform } }] }),
    ];
  }

  /** Reads a buffer back. The fence is not awaited: in Deno its synchronous part waits, and awaiting costs 12 ms. */
  read(buffer: GPUBuffer, like: Elements): Elements {
    const staging = this.device.createBuffer({
      size: buffer.size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      mappedAtCreation: true,
    });
    staging.unmap();
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
    this.device.queue.submit([encoder.finish()]);
    staging.mapAsync(GPUMapMode.READ).catch(() => {});
    const bytes = staging.getMappedRange().slice(0);
    staging.destroy();
    const elements = like instanceof Float32Array
      ? new Float32Array(bytes)
      : like instanceof Int32Array
      ? new Int32Array(bytes)
      : new Uint32Array(bytes);
    return elements.subarray(0, like.length);
  }

  /** Runs a kernel once on copies of the operands and reads them back. */
  async run(
    kernel: Kernel,
    data: readonly Elements[],
    target: PrintTarget,
    loops: readonly number[] = [],
  ): Promise<Elements[]> {
    const { printed, pipeline } = await this.compile(kernel, target);
    const buffers = this.buffers(data);
    const groups = this.bind(pipeline, printed, buffers, loops);
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    groups.forEach((group, at) => pass.setBindGroup(at, group));
    pass.dispatchWorkgroups(...printed.workgroups);
    pass.end();
    this.device.queue.submit([encoder.finish()]);
    const results = buffers.map((buffer, at) => this.read(buffer, data[at]));
    for (const buffer of buffers) buffer.destroy();
    return results;
  }
}

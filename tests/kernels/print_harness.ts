/** Runs hand-built kernels twice: straight from their meaning in f64, and printed, on a WebGPU adapter. For the printer's tests and micro-benchmarks. */
import type { DType } from "../../core/dtype.ts";
import { hostArray } from "../../core/dtype.ts";
import type { Expr } from "../../core/expr.ts";
import type { Index, Var } from "../../core/index_expr.ts";
import type { Kernel, Store } from "../../kernels/kernel.ts";
import { TEXEL_ROW_BYTES, type TexelRead } from "../../kernels/webgpu/print_texels.ts";
import { printWgsl } from "../../kernels/webgpu/print_wgsl.ts";
import type { PrintTarget, WgslKernel } from "../../kernels/webgpu/print_wgsl.ts";
import { rectanglesOf } from "../../kernels/webgpu/texels.ts";

/** Elements of one operand. */
export type Elements = Float32Array | Int32Array | Uint32Array;

type Variables = ReadonlyMap<number, number>;

/** An independent evaluator of kernels in f64. */
class Reference {
  /** Reductions of the current point of a row kernel. */
  #reductions = new Map<number, number>();

  constructor(readonly kernel: Kernel, readonly data: readonly Elements[]) {}

  index(index: Index, at: Variables): number {
    let sum = index.constant;
    for (const { atom, coefficient } of index.terms) {
      if (atom.kind === "var") sum += coefficient * at.get(atom.variable.id)!;
      else if (atom.kind === "value") sum += coefficient * this.value(atom.value, at);
      else {
        const of = this.index(atom.of, at), quotient = Math.floor(of / atom.by);
        sum += coefficient * (atom.kind === "div" ? quotient : of - quotient * atom.by);
      }
    }
    return sum;
  }

  value(expr: Expr, at: Variables, ...accumulators: readonly number[]): number {
    const of = (operand: Expr) => this.value(operand, at, ...accumulators);
    switch (expr.kind) {
      case "const":
        return expr.value;
      case "index":
        return this.index(expr.index, at);
      case "inRange": {
        const index = this.index(expr.index, at);
        return index >= expr.lo && index < expr.hi ? 1 : 0;
      }
      case "load":
        return this.data[expr.operand][this.index(expr.index, at)];
      case "unary":
        return unary(expr.op, of(expr.x), expr.dtype);
      case "binary":
        return wrap(binary(expr.op, of(expr.lhs), of(expr.rhs), expr.lhs.dtype), expr.dtype);
      case "select":
        return of(expr.cond) ? of(expr.then) : of(expr.otherwise);
      case "cast":
        return expr.dtype === "f32" ? of(expr.x) : expr.dtype === "bool" ? Number(of(expr.x) !== 0) : wrap(Math.trunc(of(expr.x)), expr.dtype);
      case "accumulator":
        return accumulators[expr.state] ?? NaN;
      case "reduce":
        return this.reduce(expr, at);
    }
  }

  reduce(expr: Expr & { kind: "reduce" }, at: Variables): number {
    const { combine, variable, body } = expr;
    const known = this.#reductions.get(expr.id);
    if (known !== undefined) return known;
    let sum = 0, best = combine === "min" ? Infinity : -Infinity, place = 0;
    for (let step = 0; step < variable.extent; step++) {
      const value = this.value(body, new Map(at).set(variable.id, step));
      sum += value;
      if (combine === "min" ? value < best : value > best) [best, place] = [value, step];
      if (combine !== "argmax" && Number.isNaN(value)) best = NaN;
    }
    const result = combine === "sum" ? sum : combine === "argmax" ? place : best;
    this.#reductions.set(expr.id, result);
    return result;
  }

  /** All stores at one point; values first. */
  store(stores: readonly Store[], at: Variables, ...accumulators: readonly number[]): void {
    const values = stores.map(({ value }) => this.value(value, at, ...accumulators));
    stores.forEach(({ operand, index }, i) => this.data[operand][this.index(index, at)] = values[i]);
  }

  run(at: Variables): void {
    const { kernel } = this;
    switch (kernel.kind) {
      case "map":
        return each(kernel.space, at, (point) => this.store(kernel.stores, point));
      case "row":
        return each(kernel.space, at, (point) => {
          this.#reductions.clear();
          const values = kernel.rowStores.map(({ value }) => this.value(value, point));
          const elements = Array.from({ length: kernel.row.extent }, (_, step) => {
            const element = new Map(point).set(kernel.row.id, step);
            return kernel.elementStores.map(({ value, index, operand }) => ({
              value: this.value(value, element),
              offset: this.index(index, element),
              operand,
            }));
          });
          for (const { operand, offset, value } of elements.flat()) this.data[operand][offset] = value;
          kernel.rowStores.forEach(({ operand, index }, i) => this.data[operand][this.index(index, point)] = values[i]);
        });
      case "contract":
        return each([...kernel.batch, kernel.m, kernel.n], at, (point) => {
          let sum = 0;
          for (let k = 0; k < kernel.k.extent; k++) {
            const inner = new Map(point).set(kernel.k.id, k);
            sum += this.value(kernel.lhs, inner) * this.value(kernel.rhs, inner);
          }
          this.store(kernel.stores, point, sum);
        });
      case "recurrence":
        return each(kernel.space, at, (point) => {
          const states = kernel.states.map(() => 0);
          for (let step = 0; step < kernel.time.extent; step++) {
            const now = new Map(point).set(kernel.time.id, kernel.reverse ? kernel.time.extent - 1 - step : step);
            kernel.states.forEach(({ a, b }, number) => {
              const present = states.slice(0, number);
              states[number] = this.value(a, now, ...present) * states[number] + this.value(b, now, ...present);
            });
            this.store(kernel.stores, now, ...states);
          }
        });
      case "scatter":
        return each(kernel.space, at, (point) => {
          for (let position = 0; position < kernel.position.extent; position++) {
            const now = new Map(point).set(kernel.position.id, position);
            if (this.value(kernel.valid, now)) this.data[kernel.target][this.index(kernel.index, now)] += this.value(kernel.update, now);
          }
        });
    }
  }
}

function each(space: readonly Var[], at: Variables, visit: (point: Map<number, number>) => void): void {
  if (space.length === 0) return visit(new Map(at));
  for (let value = 0; value < space[0].extent; value++) each(space.slice(1), new Map(at).set(space[0].id, value), visit);
}

function wrap(value: number, dtype: DType): number {
  return dtype === "i32" ? value | 0 : dtype === "u32" ? value >>> 0 : value;
}

/** The error function by its Maclaurin series, and 1 far out. */
export function erf(x: number): number {
  if (Math.abs(x) > 4) return Math.sign(x) * (1 - 1.54e-8);
  let term = x, sum = x;
  for (let n = 1; n < 120; n++) sum += (term *= -x * x / n) / (2 * n + 1);
  return (2 / Math.sqrt(Math.PI)) * sum;
}

function unary(op: (Expr & { kind: "unary" })["op"], x: number, dtype: DType): number {
  switch (op) {
    case "neg":
      return wrap(-x, dtype);
    case "rsqrt":
      return 1 / Math.sqrt(x);
    case "sigmoid":
      return 1 / (1 + Math.exp(-x));
    case "erf":
      return erf(x);
    case "not":
      return dtype === "bool" ? Number(!x) : wrap(~x, dtype);
    default:
      return Math[op](x);
  }
}

function binary(op: (Expr & { kind: "binary" })["op"], x: number, y: number, dtype: DType): number {
  switch (op) {
    case "add":
      return x + y;
    case "sub":
      return x - y;
    case "mul":
      return dtype === "u32" || dtype === "i32" ? Math.imul(x, y) : x * y;
    case "div":
      return dtype === "f32" ? x / y : Math.trunc(x / y);
    case "max":
      return Math.max(x, y);
    case "min":
      return Math.min(x, y);
    case "pow":
      return x ** y;
    case "mod":
      return x - Math.floor(x / y) * y;
    case "and":
      return x & y;
    case "or":
      return x | y;
    case "xor":
      return x ^ y;
    case "shiftLeft":
      return x << y;
    case "shiftRight":
      return x >>> y;
    default:
      return Number({ eq: x === y, ne: x !== y, lt: x < y, le: x <= y, gt: x > y, ge: x >= y }[op]);
  }
}

/** Runs a kernel by its meaning, on copies of the operands. */
export function runReference(kernel: Kernel, data: readonly Elements[], loops: readonly number[] = []): Elements[] {
  const copies = data.map((elements) => elements.slice());
  new Reference(kernel, copies).run(new Map(kernel.loops.map((variable, at) => [variable.id, loops[at]])));
  return copies;
}

/** Elements that tell apart positions: random, between -1 and 1 for floats, small for integers. */
export function randomElements(dtype: DType, size: number, seed: number): Elements {
  const out = hostArray(dtype, size);
  let state = (seed * 2654435761 + 12345) >>> 0;
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const unit = state / 4294967296;
    out[at] = dtype === "f32" ? 2 * unit - 1 : dtype === "bool" ? Number(unit > 0.5) : Math.floor(unit * 16) - (dtype === "i32" ? 8 : 0);
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
      requiredLimits: { maxStorageBuffersPerShaderStage: adapter.limits.maxStorageBuffersPerShaderStage },
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
      f16: false,
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
    const groups: GPUBindGroupLayout[] = [storage, ...(printed.usesLoops ? [[uniform]] : [])].map((entries) => this.device.createBindGroupLayout({ entries }));
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
  texture({ type, lanes, start, elements }: TexelRead, buffer: GPUBuffer, loops: ReadonlyMap<number, number>): GPUTexture {
    const width = TEXEL_ROW_BYTES / 4 / lanes;
    const format = `${lanes === 4 ? "rgba" : "r"}32${{ f32: "float", i32: "sint", u32: "uint" }[type]}` as GPUTextureFormat;
    const size = [width, Math.ceil(elements / lanes / width)];
    const texture = this.device.createTexture({ format, size, usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST });
    const startByte = 4 * start.terms.reduce((sum, { atom, coefficient }) => {
      if (atom.kind !== "var") throw new Error("a part moves with loop indices only");
      return sum + coefficient * loops.get(atom.variable.id)!;
    }, start.constant);
    const encoder = this.device.createCommandEncoder();
    for (const { byte, origin, size } of rectanglesOf({ startByte, endByte: startByte + 4 * elements }, buffer.size, 4 * lanes)) {
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
    variables: readonly Var[] = [],
  ): GPUBindGroup[] {
    const at = new Map(variables.map(({ id }, position) => [id, loops[position]]));
    const entries = printed.bindings.map(({ binding, operand, texels }): GPUBindGroupEntry => ({
      binding,
      resource: texels ? this.texture(texels, buffers[operand], at).createView() : { buffer: buffers[operand] },
    }));
    const groups = [this.device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries })];
    if (!printed.usesLoops) return groups;
    const uniform = this.device.createBuffer({ size: 32, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
    const words = [0, 1, 2, 3].map((at) => loops[at] ?? 0);
    this.device.queue.writeBuffer(uniform, 0, new Uint32Array([...words, 0x7fc00000, 0x7f800000, 0, 0]));
    const layout = pipeline.getBindGroupLayout(1);
    return [...groups, this.device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: uniform } }] })];
  }

  /** Reads a buffer back. The fence is not awaited: in Deno its synchronous part waits, and awaiting costs 12 ms. */
  read(buffer: GPUBuffer, like: Elements): Elements {
    const staging = this.device.createBuffer({ size: buffer.size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST, mappedAtCreation: true });
    staging.unmap();
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
    this.device.queue.submit([encoder.finish()]);
    staging.mapAsync(GPUMapMode.READ).catch(() => {});
    const bytes = staging.getMappedRange().slice(0);
    staging.destroy();
    const elements = like instanceof Float32Array ? new Float32Array(bytes) : like instanceof Int32Array ? new Int32Array(bytes) : new Uint32Array(bytes);
    return elements.subarray(0, like.length);
  }

  /** Runs a kernel once on copies of the operands and reads them back. */
  async run(kernel: Kernel, data: readonly Elements[], target: PrintTarget, loops: readonly number[] = []): Promise<Elements[]> {
    const { printed, pipeline } = await this.compile(kernel, target);
    const buffers = this.buffers(data);
    const groups = this.bind(pipeline, printed, buffers, loops, kernel.loops);
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

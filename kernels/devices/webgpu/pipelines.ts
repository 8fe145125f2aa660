/**
 * Compute pipelines by source text: loaded programs share pipelines with equal texts, and some unused ones are cached
 * for later programs.
 */
import { CompileError } from "../../../core/errors.ts";
import type { Binding } from "./print_writer.ts";

/** The layout of all kernels with bindings of the same kinds: group 0 the operands, group 1 the loop indices. */
export interface KernelLayout {
  readonly operands: GPUBindGroupLayout;
  readonly pipeline: GPUPipelineLayout;
}

/**
 * Maximum number of unused pipelines in the cache. A pipeline takes a third of a megabyte on software drivers, and
 * WebGPU only frees it when it is unreachable; recompiling is slow.
 */
const UNUSED_KEPT = 64;

interface Entry {
  readonly pipeline: Promise<GPUComputePipeline>;
  users: number;
}

/** Creates layouts and pipelines, each once. */
export class Pipelines {
  #gpu: GPUDevice;
  #layouts = new Map<string, KernelLayout>();
  #entries = new Map<string, Entry>();
  /** Keys of unused pipelines, least recently used first. */
  #unused = new Set<string>();
  /** The layout of group 1: one uniform block found by dynamic offset. */
  readonly loopLayout: GPUBindGroupLayout;

  constructor(gpu: GPUDevice) {
    this.#gpu = gpu;
    this.loopLayout = gpu.createBindGroupLayout({
      entries: [{
        binding: 0,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: "uniform", hasDynamicOffset: true, minBindingSize: 32 },
      }],
    });
  }

  /** Number of pipelines in the cache, in use or not. */
  get count(): number {
    return this.#entries.size;
  }

  /** The layout of kernels with these bindings. */
  layout(bindings: readonly Binding[]): KernelLayout {
    const key = kindsOf(bindings);
    let layout = this.#layouts.get(key);
    if (!layout) {
      const entries = bindings.map(({ binding, texels }): GPUBindGroupLayoutEntry => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        ...(texels ? { texture: { sampleType: SAMPLE_TYPES[texels.type] } } : { buffer: { type: "storage" } }),
      }));
      const operands = this.#gpu.createBindGroupLayout({ entries });
      layout = {
        operands,
        pipeline: this.#gpu.createPipelineLayout({ bindGroupLayouts: [operands, this.loopLayout] }),
      };
      this.#layouts.set(key, layout);
    }
    return layout;
  }

  /**
   * Acquires the pipeline of a source text; the caller must {@link release} it, even if compilation fails.
   * @param source WGSL with the entry point `main`.
   * @param bindings The bindings of group 0.
   * @param origins The ops of the kernel, for the error message.
   * @throws {CompileError} quoting line and caret if the device's compiler rejects the text.
   */
  acquire(source: string, bindings: readonly Binding[], origins: readonly string[]): Promise<GPUComputePipeline> {
    const key = keyOf(source, bindings);
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = { pipeline: this.#compile(source, this.layout(bindings).pipeline, origins), users: 0 };
      this.#entries.set(key, entry);
      entry.pipeline.catch(() => this.#forget(key));
    }
    entry.users++;
    this.#unused.delete(key);
    return entry.pipeline;
  }

  /** Releases the pipeline of a source text. */
  release(source: string, bindings: readonly Binding[]): void {
    const key = keyOf(source, bindings), entry = this.#entries.get(key);
    if (!entry || --entry.users > 0) return;
    this.#unused.add(key);
    if (this.#unused.size > UNUSED_KEPT) this.#forget(this.#unused.values().next().value!);
  }

  /** Drops all pipelines. */
  clear(): void {
    this.#entries.clear();
    this.#unused.clear();
    this.#layouts.clear();
  }

  #forget(key: string): void {
    this.#entries.delete(key);
    this.#unused.delete(key);
  }

  async #compile(source: string, layout: GPUPipelineLayout, origins: readonly string[]): Promise<GPUComputePipeline> {
    const label = origins.join(", ");
    this.#gpu.pushErrorScope("validation");
    const module = this.#gpu.createShaderModule({ label, code: source });
    const invalid = this.#gpu.popErrorScope();
    const pipeline = this.#gpu.createComputePipelineAsync({ label, layout, compute: { module, entryPoint: "main" } });
    const refused = pipeline.then(() => undefined, (error: unknown) => error);
    const error = await invalid;
    if (error) {
      const { messages } = await module.getCompilationInfo();
      const first = messages.find(({ type }) => type === "error");
      throw compileError(
        source,
        origins,
        firstSentence(first?.message ?? error.message),
        first?.lineNum ?? 0,
        first?.linePos ?? 0,
      );
    }
    const reason = await refused;
    if (reason !== undefined) {
      throw compileError(source, origins, reason instanceof Error ? reason.message : String(reason), 0, 0);
    }
    return await pipeline;
  }
}

const SAMPLE_TYPES = { f32: "unfilterable-float", i32: "sint", u32: "uint" } as const;

function keyOf(source: string, bindings: readonly Binding[]): string {
  return `${kindsOf(bindings)}:${source}`;
}

function kindsOf(bindings: readonly Binding[]): string {
  return bindings.map(({ texels }) => texels?.type ?? "buffer").join();
}

/** The essential sentence of a compiler's message: naga puts it between a heading and a drawing. */
function firstSentence(message: string): string {
  const line = message.split("\n").map((text) => text.trim()).find((text) => text !== "") ?? message;
  return line.replace(/^Shader '.*' parsing error: /, "");
}

function compileError(
  source: string,
  origins: readonly string[],
  message: string,
  line: number,
  column: number,
): CompileError {
  const quote = line > 0 ? `\n${quoteSource(source, line, column)}` : "";
  return new CompileError(`Cannot compile the kernel of ${origins.join(", ")}: ${message}${quote}`, source);
}

/** The lines around an error with a caret. Lines and columns count from 1. */
export function quoteSource(source: string, line: number, column: number): string {
  const lines = source.split("\n");
  const width = String(Math.min(lines.length, line + 2)).length;
  const quoted: string[] = [];
  for (let number = Math.max(1, line - 2); number <= Math.min(lines.length, line + 2); number++) {
    quoted.push(`${String(number).padStart(width + 2)} | ${lines[number - 1]}`);
    if (number === line && column > 0) quoted.push(`${" ".repeat(width + 2)} | ${" ".repeat(column - 1)}^`);
  }
  return quoted.join("\n");
}

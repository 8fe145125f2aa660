/** Prints a kernel as a WebAssembly function that computes one thread's share of it. */
import type { WrittenFunction } from "../../codegen/function_writer.ts";
import { printKernel } from "../../codegen/print_kernel.ts";
import type { Division } from "../../codegen/walk.ts";
import type { Target, Tiles } from "../../codegen/target.ts";
import type { Kernel } from "../../kernel.ts";
import type { Instruction, WasmFunction } from "../../codegen/wasm_encoder.ts";
import { WasmLanguage } from "./wasm_language.ts";

/** Features that a module may use, and the threads that run it. */
export interface CpuTarget {
  /** Whether `f32x4.relaxed_madd` validates. */
  readonly relaxed: boolean;
  /**
   * Number of threads that will run the module, unless one does: block sizes and barriers are for them. Results do not
   * depend on it. Default: 1.
   */
  readonly threads?: number;
}

/** A printed kernel. */
export interface CpuKernel {
  /**
   * Parameters: thread index, number of threads, scratch address, operand addresses, and indices of the enclosing
   * loops.
   */
  readonly fn: WasmFunction;
  /** Bytes of scratch memory required per thread. */
  readonly scratchBytes: number;
  /** What threads share it by. */
  readonly division: Division;
}

/** A finished function with the types of WebAssembly, whose addresses are integers. */
export function toWasm({ parameters, locals, code }: WrittenFunction<Instruction>): WasmFunction {
  return {
    parameters: parameters.map(({ name }) => name),
    locals: locals.map((type) => (type === "lanes" ? "v128" : type === "address" ? "i32" : type)),
    code,
  };
}

/**
 * The tiles of products. Nine accumulators hide the latency of the multiply-add; more would spill, since engines use 16
 * registers.
 */
export const TILES: Tiles = { wide: { rows: 3, columns: 12 }, narrow: { rows: 4, columns: 8 } };

/** Prints a kernel. */
export function printCpuKernel(kernel: Kernel, { relaxed, threads }: CpuTarget): CpuKernel {
  const target: Target = { lanes: 4, fused: relaxed, gathers: false, tiles: [TILES], threads };
  const { fn, scratchBytes, division } = printKernel(kernel, target, new WasmLanguage(relaxed));
  return { fn: toWasm(fn), scratchBytes, division };
}

/** From a kernel to a WebAssembly function that computes one thread's share of it. */
import { CompileError } from "../../../core/errors.ts";
import type { Kernel } from "../../kernel.ts";
import { printContract } from "./print_contract.ts";
import { Evaluator } from "./print_expr.ts";
import { printMap } from "./print_map.ts";
import { printRecurrence } from "./print_recurrence.ts";
import { printRow } from "./print_row.ts";
import { printScatter } from "./print_scatter.ts";
import type { WasmFunction } from "./wasm_encoder.ts";
import type { CpuTarget } from "./writer.ts";
import { Writer } from "./writer.ts";

/** A printed kernel. */
export interface CpuKernel {
  /** Parameters: thread, threads, scratch, the address of each operand, the index of each enclosing loop. */
  readonly fn: WasmFunction;
  /** Bytes of scratch memory that each thread needs. */
  readonly scratchBytes: number;
}

/**
 * Prints a kernel.
 * @throws {CompileError} if it uses f16.
 */
export function printCpuKernel(kernel: Kernel, target: CpuTarget): CpuKernel {
  if (kernel.operands.some(({ dtype }) => dtype === "f16")) {
    throw new CompileError('A kernel uses f16, which the device "cpu" does not have: use f32');
  }
  const parameters = [
    "thread",
    "threads",
    "scratch",
    ...kernel.operands.map((_, i) => `b${i}`),
    ...kernel.loops.map((_, i) => `l${i}`),
  ];
  const writer = new Writer(parameters, target);
  kernel.loops.forEach((loop, i) => writer.declare(loop, writer.parameter(`l${i}`)));
  const evaluator = new Evaluator(writer, kernel);
  printKind(kernel, evaluator);
  return { fn: writer.finish(), scratchBytes: evaluator.scratchBytes };
}

function printKind(kernel: Kernel, evaluator: Evaluator): void {
  switch (kernel.kind) {
    case "map":
      return printMap(kernel, evaluator);
    case "row":
      return printRow(kernel, evaluator);
    case "contract":
      return printContract(kernel, evaluator);
    case "recurrence":
      return printRecurrence(kernel, evaluator);
    case "scatter":
      return printScatter(kernel, evaluator);
  }
}

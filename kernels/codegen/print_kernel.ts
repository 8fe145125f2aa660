/** Prints a kernel as a function that computes one thread's share of it, in any language. */
import type { Kernel } from "../kernel.ts";
import { Evaluator } from "./evaluator.ts";
import type { Language } from "./language.ts";
import { printContract } from "./print_contract.ts";
import { printMap } from "./print_map.ts";
import { printRecurrence } from "./print_recurrence.ts";
import { printRow } from "./print_row.ts";
import { printScatter } from "./print_scatter.ts";
import type { Target } from "./target.ts";
import type { Division } from "./walk.ts";
import { FunctionWriter, type Parameter, type WrittenFunction } from "./function_writer.ts";

/** A printed kernel. */
export interface PrintedKernel<Line> {
  /**
   * Parameters: thread index, number of threads, scratch address, operand addresses, and indices of the enclosing
   * loops.
   */
  readonly fn: WrittenFunction<Line>;
  /** Bytes of scratch memory required per thread. */
  readonly scratchBytes: number;
  /** What threads share it by. */
  readonly division: Division;
}

/** Prints a kernel over f32, i32, u32 and bool. */
export function printKernel<Line>(kernel: Kernel, target: Target, language: Language<Line>): PrintedKernel<Line> {
  const integer = (name: string): Parameter => ({ name, type: "i32" });
  const address = (name: string): Parameter => ({ name, type: "address" });
  const parameters = [
    integer("thread"),
    integer("threads"),
    address("scratch"),
    ...kernel.operands.map((_, i) => address(`b${i}`)),
    ...kernel.loops.map((_, i) => integer(`l${i}`)),
  ];
  const writer = new FunctionWriter(parameters, target, language);
  kernel.loops.forEach((loop, i) => writer.declare(loop, writer.parameter(`l${i}`)));
  const evaluator = new Evaluator(writer, kernel);
  const division = printKind(kernel, evaluator);
  return { fn: writer.finish(), scratchBytes: evaluator.scratchBytes, division };
}

function printKind(kernel: Kernel, evaluator: Evaluator): Division {
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

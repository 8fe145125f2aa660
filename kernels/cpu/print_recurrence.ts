/** Prints recurrence kernels: a thread walks time for each of its points, four at a time where they are neighbours. */
import { addIndex, constantIndex, scaleIndex } from "../../core/index_expr.ts";
import type { RecurrenceKernel } from "../kernel.ts";
import { convert, f, i, splat } from "./lanes.ts";
import type { Evaluator } from "./print_expr.ts";
import { chooseWalk, overWalk } from "./walk.ts";
import { wasmType } from "./writer.ts";

/** Prints a recurrence kernel. */
export function printRecurrence(kernel: RecurrenceKernel, evaluator: Evaluator): void {
  const { a, b, stores, time, space, reverse } = kernel;
  const w = evaluator.writer;
  overWalk(w, chooseWalk(evaluator, space, [a, b], stores), (replace, { lane }) => {
    const type = { dtype: b.dtype, width: lane ? 4 : 1 } as const;
    const state = w.newLocal(wasmType(type));
    w.assign(state, splat(w, w.literal(0, b.dtype), type.width));
    w.repeat(time.extent, (step) => {
      const now = reverse ? addIndex(constantIndex(time.extent - 1), scaleIndex(step, -1)) : step;
      const at = new Map(replace).set(time.id, now);
      const before = evaluator.env(at, lane);
      const decay = convert(w, evaluator.value(a, before), b.dtype), input = convert(w, evaluator.value(b, before), b.dtype);
      const arithmetic = b.dtype === "f32" ? f : i;
      const next = arithmetic(w, "add", arithmetic(w, "mul", decay, w.read(state, type)), input);
      w.assign(state, next);
      const after = evaluator.env(at, lane, next);
      const values = stores.map(({ value }) => evaluator.value(value, after));
      stores.forEach((store, i) => evaluator.store(store, values[i], after));
    }, constantIndex(0));
  });
}

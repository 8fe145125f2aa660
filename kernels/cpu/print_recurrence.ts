/** Prints recurrence kernels: a thread walks time for each of its points, four at a time where they are neighbours. */
import { addIndex, constantIndex, scaleIndex } from "../../core/index_expr.ts";
import type { RecurrenceKernel } from "../kernel.ts";
import { convert, f, i, splat } from "./lanes.ts";
import type { Evaluator } from "./print_expr.ts";
import { chooseWalk, overWalk } from "./walk.ts";
import { type Value, wasmType } from "./writer.ts";

/** Prints a recurrence kernel. */
export function printRecurrence(kernel: RecurrenceKernel, evaluator: Evaluator): void {
  const { states, stores, time, space, reverse } = kernel;
  const w = evaluator.writer;
  overWalk(w, chooseWalk(evaluator, space, states.flatMap(({ a, b }) => [a, b]), stores), (replace, { lane }) => {
    const locals = states.map(({ b: { dtype } }) => {
      const type = { dtype, width: lane ? 4 : 1 } as const, local = w.newLocal(wasmType(type));
      w.assign(local, splat(w, w.literal(0, dtype), type.width));
      return { type, local };
    });
    w.repeat(time.extent, (step) => {
      const now = reverse ? addIndex(constantIndex(time.extent - 1), scaleIndex(step, -1)) : step;
      const at = new Map(replace).set(time.id, now);
      const present: Value[] = [];
      states.forEach(({ a, b }, number) => {
        const { type, local } = locals[number], before = evaluator.env(at, lane, ...present);
        const decay = convert(w, evaluator.value(a, before), b.dtype), input = convert(w, evaluator.value(b, before), b.dtype);
        const arithmetic = b.dtype === "f32" ? f : i;
        const next = arithmetic(w, "add", arithmetic(w, "mul", decay, w.read(local, type)), input);
        w.assign(local, next);
        present.push(next);
      });
      const after = evaluator.env(at, lane, ...present);
      const values = stores.map(({ value }) => evaluator.value(value, after));
      stores.forEach((store, i) => evaluator.store(store, values[i], after));
    }, constantIndex(0));
  });
}

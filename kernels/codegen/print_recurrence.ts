/** Prints recurrence kernels: each thread iterates over time for its points, W at a time if they are contiguous. */
import { addIndex, constantIndex, type Index, scaleIndex } from "../../core/index_expr.ts";
import type { RecurrenceKernel } from "../kernel.ts";
import { isLongSum, SUM_BLOCK } from "../long_sums.ts";
import { BlockSum } from "./block_sum.ts";
import { convert, f, i, splat } from "./lanes.ts";
import type { Evaluator } from "./evaluator.ts";
import { repeat, repeatInBlocks } from "./loops.ts";
import { chooseWalk, overWalk } from "./walk.ts";
import type { Value } from "./writer.ts";

/** Prints a recurrence kernel. */
export function printRecurrence(kernel: RecurrenceKernel, evaluator: Evaluator): void {
  const { states, stores, time, space, reverse } = kernel;
  const w = evaluator.writer;
  overWalk(w, chooseWalk(evaluator, space, states.flatMap(({ a, b }) => [a, b]), stores), (replace, { lane }) => {
    const locals = states.map((state) => {
      const { dtype } = state.b, local = w.newLocal({ dtype, width: lane ? w.lanes : 1 });
      w.assign(local, splat(w, w.literal(0, dtype), local.width));
      return { local, earlier: isLongSum(kernel, state) ? new BlockSum(w, local, time.extent) : undefined };
    });
    const body = (step: Index) => {
      const now = reverse ? addIndex(constantIndex(time.extent - 1), scaleIndex(step, -1)) : step;
      const at = new Map(replace).set(time.id, now);
      const present: Value[] = [];
      states.forEach(({ a, b }, number) => {
        const { local, earlier } = locals[number], before = evaluator.env(at, lane, ...present);
        if (earlier) {
          const sum = f(w, "add", w.read(local), evaluator.value(b, before));
          w.assign(local, sum);
          present.push(f(w, "add", earlier.value, sum));
          return;
        }
        const decay = convert(w, evaluator.value(a, before), b.dtype),
          input = convert(w, evaluator.value(b, before), b.dtype);
        const arithmetic = b.dtype === "f32" ? f : i;
        const next = arithmetic(w, "add", arithmetic(w, "mul", decay, w.read(local)), input);
        w.assign(local, next);
        present.push(next);
      });
      const after = evaluator.env(at, lane, ...present);
      const values = stores.map(({ value }) => evaluator.value(value, after));
      stores.forEach((store, i) => evaluator.store(store, values[i], after));
    };
    const sums = locals.flatMap(({ earlier }) => earlier ?? []);
    if (sums.length === 0) repeat(w, time.extent, body);
    else {
      const flush = (first: Value) => sums.forEach((sum) => sum.flush(first));
      repeatInBlocks(w, { turns: time.extent, block: SUM_BLOCK }, { body, flush });
    }
  });
}

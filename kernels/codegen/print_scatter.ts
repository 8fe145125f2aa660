/** Prints scatter kernels: each thread adds all positions in order to its own elements, so no atomics are needed. */
import { makeVar, varIndex } from "../../core/index_expr.ts";
import type { ScatterKernel, Store } from "../kernel.ts";
import type { Evaluator } from "./evaluator.ts";
import { repeat } from "./loops.ts";
import { chooseWalk, type Division, overWalk, scalarWalk } from "./walk.ts";

/** Prints a scatter kernel. */
export function printScatter(kernel: ScatterKernel, evaluator: Evaluator): Division {
  const { position, target, index, valid, update, space } = kernel;
  const w = evaluator.writer;
  const store: Store = { operand: target, index, value: update };
  const chosen = chooseWalk(evaluator, space, [valid], [store]);
  // All lanes must be in bounds, or none.
  const probe = evaluator.env(
    chosen.replace(varIndex(makeVar("group", Math.max(2, chosen.groups)))).set(position.id, varIndex(position)),
    chosen.lane,
  );
  const walk = evaluator.varies(valid, probe) ? scalarWalk(space) : chosen;
  return overWalk(w, walk, (replace, { lane }) => {
    repeat(w, position.extent, (step) => {
      const env = evaluator.env(new Map(replace).set(position.id, step), lane);
      const add = () => evaluator.store(store, evaluator.value(update, env), env, true);
      const condition = evaluator.value(valid, env);
      if (condition.local === undefined) {
        if (condition.literal) add();
      } else {
        w.when(condition, add);
      }
    });
  });
}

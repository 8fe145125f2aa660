/**
 * Prints scatter kernels: each invocation adds all positions in order to its own elements, so no atomics are needed.
 */
import { makeVar, varIndex } from "../../../core/index_expr.ts";
import type { Expr } from "../../../core/expr.ts";
import type { ScatterKernel, Store } from "../../kernel.ts";
import { Evaluator } from "./print_expr.ts";
import type { Env } from "./print_index.ts";
import { overSteps, stepsPerTurn } from "./print_loops.ts";
import { chooseWalk, liveLanes, scalarWalk, startFlat, workgroupSizeFor } from "./print_space.ts";
import type { Walk } from "./print_space.ts";
import type { WgslKernel, Writer } from "./print_writer.ts";

/** Prints a scatter kernel. */
export function printScatter(kernel: ScatterKernel, writer: Writer): WgslKernel {
  const { position, target, index, valid, update } = kernel;
  const store: Store = { operand: target, index, value: update };
  const evaluator = new Evaluator(writer, [store], [valid]);
  const walk = wholeLanes(evaluator, kernel, chooseWalk(evaluator, kernel.space, [valid], [store]));
  const size = workgroupSizeFor(walk.groups, writer.target.style === "gpu" ? 64 : 8);
  const { id, launch } = startFlat(writer, walk.groups, size);
  const group = varIndex(id);
  const live = liveLanes(evaluator, walk, group);
  overSteps(
    writer,
    { name: "p", extent: position.extent, each: stepsPerTurn(position.extent, writer.target) },
    (step) => {
      const env = evaluator.env(walk.replace(group).set(position.id, step), walk.lane);
      const condition = evaluator.value(valid, env);
      const value = writer.bound(evaluator.value(update, env));
      if (condition.text !== "true") writer.open(`if (${condition.text})`);
      evaluator.store(store, value, env, live, "+=");
      if (condition.text !== "true") writer.close();
    },
  );
  return writer.finish(size, launch.workgroups);
}

/** Vectorised only if all lanes are in bounds together; otherwise one point at a time. */
function wholeLanes(evaluator: Evaluator, { space, valid, position }: ScatterKernel, walk: Walk): Walk {
  const env: Env = evaluator.env(
    walk.replace(varIndex(makeVar("group", walk.groups))).set(position.id, varIndex(position)),
    walk.lane,
  );
  return isUniform(evaluator, valid, env) ? walk : scalarWalk(space);
}

function isUniform(evaluator: Evaluator, expr: Expr, env: Env): boolean {
  return !evaluator.varies(expr, env);
}

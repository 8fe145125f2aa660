/** Prints map kernels: groups of four points, up to four groups an invocation. */
import { addIndex, varIndex } from "../../core/index_expr.ts";
import type { MapKernel } from "../kernel.ts";
import { Evaluator } from "./print_expr.ts";
import { chooseWalk, liveLanes, startFlat, workgroupSizeFor } from "./print_space.ts";
import type { Walk } from "./print_space.ts";
import type { WgslKernel, Writer } from "./print_writer.ts";

/** Prints a map kernel. */
export function printMap(kernel: MapKernel, writer: Writer): WgslKernel {
  const evaluator = new Evaluator(writer, kernel.stores);
  const walk = chooseWalk(evaluator, kernel.space, [], kernel.stores);
  const perInvocation = groupsPerInvocation(walk, writer);
  const invocations = walk.groups / perInvocation;
  const size = workgroupSizeFor(invocations, writer.target.style === "gpu" ? Math.min(256, writer.target.maxInvocations) : 64);
  const { id, launch } = startFlat(writer, invocations, size);
  for (let part = 0; part < perInvocation; part++) {
    const group = addIndex(varIndex(id), part * invocations);
    const env = evaluator.env(walk.replace(group), walk.lane);
    const values = kernel.stores.map(({ value }) => writer.bound(evaluator.value(value, env)));
    const live = liveLanes(evaluator, walk, group);
    kernel.stores.forEach((store, at) => evaluator.store(store, values[at], env, live));
  }
  return writer.finish(size, launch.workgroups);
}

/** Groups of points that one invocation computes: more where there is much to do, so that dispatch costs less. */
function groupsPerInvocation(walk: Walk, writer: Writer): number {
  if (writer.target.style === "gpu" || !walk.lane || walk.tail !== undefined) return 1;
  const fits = [4, 2].find((count) => walk.groups % count === 0 && walk.groups / count >= 4096);
  return fits ?? 1;
}

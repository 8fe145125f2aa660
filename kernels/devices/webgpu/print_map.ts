/**
 * Prints map kernels: one group of four points per invocation. More groups per invocation are no faster and take longer
 * to compile, as measured.
 */
import { varIndex } from "../../../core/index_expr.ts";
import type { MapKernel } from "../../kernel.ts";
import { Evaluator } from "./print_expr.ts";
import { chooseWalk, liveLanes, startFlat, workgroupSizeFor } from "./print_space.ts";
import type { WgslKernel, Writer } from "./print_writer.ts";

/**
 * Prints a map kernel. All values of a point are computed before any is stored, since operands may be updated in place.
 */
export function printMap(kernel: MapKernel, writer: Writer): WgslKernel {
  const evaluator = new Evaluator(writer, kernel.stores);
  const walk = chooseWalk(evaluator, kernel.space, [], kernel.stores);
  const size = workgroupSizeFor(
    walk.groups,
    writer.target.style === "gpu" ? Math.min(256, writer.target.maxInvocations) : 64,
  );
  const { id, launch } = startFlat(writer, walk.groups, size);
  const group = varIndex(id);
  const env = evaluator.env(walk.replace(group), walk.lane);
  const values = kernel.stores.map(({ value }) => writer.bound(evaluator.value(value, env)));
  const live = liveLanes(evaluator, walk, group);
  kernel.stores.forEach((store, at) => evaluator.store(store, values[at], env, live));
  return writer.finish(size, launch.workgroups);
}

/** Prints map kernels. */
import type { MapKernel } from "../kernel.ts";
import type { Evaluator } from "./evaluator.ts";
import { chooseWalk, type Division, envOf, overWalk } from "./walk.ts";

/**
 * Prints a map kernel. All values of a point are computed before any is stored, since operands may be updated in place.
 */
export function printMap(kernel: MapKernel, evaluator: Evaluator): Division {
  return overWalk(evaluator.writer, chooseWalk(evaluator, kernel.space, [], kernel.stores), (replace, walk) => {
    const env = envOf(evaluator, walk, replace);
    const values = kernel.stores.map(({ value }) => evaluator.value(value, env));
    kernel.stores.forEach((store, at) => evaluator.store(store, values[at], env));
  });
}

/** The built-in benchmarks, one line each. */
import type { Benchmark } from "./benchmark.ts";
import { choice } from "./choice/choice.ts";

/** By name. */
export const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  [choice.name]: choice,
};

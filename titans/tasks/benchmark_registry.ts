/** The built-in benchmarks, one line each. */
import type { Benchmark } from "./benchmark.ts";

/** By name. */
export const BENCHMARKS: Readonly<Record<string, Benchmark>> = {};

/** The built-in benchmarks, one line each. */
import type { Benchmark } from "./benchmark.ts";
import { choice } from "./choice/choice.ts";
import { language } from "./language/language.ts";

/** By name. */
export const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  [language.name]: language,
  [choice.name]: choice,
};

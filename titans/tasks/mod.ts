/**
 * The built-in tasks and benchmarks, an entry of their own: programs that need none, such as web pages, do without them.
 *
 * @example
 * ```ts
 * import { taskOf } from "@mneme/titans/tasks";
 *
 * const task = taskOf("recall").create({ pairs: 2, rounds: 1, keys: 4, values: 4 });
 * const { tokens } = task.batches("train", 1, 0).batch(0);
 * if (tokens.length !== 8) throw new Error(`8 tokens were expected, not ${tokens.length}`);
 * ```
 *
 * @module
 */
export { BENCHMARKS } from "./benchmark_registry.ts";
export { taskOf, TASKS } from "./registry.ts";
export { recall, RECALL_OPTIONS, type RecallOptions } from "./recall/recall.ts";
export { SINUSOID_OPTIONS, type SinusoidBatch, sinusoids } from "./sinusoids/sinusoids.ts";
export { mqar, MQAR_OPTIONS, type MqarOptions } from "./mqar/mqar.ts";
export { induction, INDUCTION_OPTIONS } from "./induction/induction.ts";
export { copying, COPYING_OPTIONS } from "./copying/copying.ts";
export { STATE_TRACKING_OPTIONS, stateTracking } from "./state_tracking/state_tracking.ts";
export {
  IN_CONTEXT_RECALL_OPTIONS,
  inContextRecall,
  NOISY_IN_CONTEXT_RECALL_OPTIONS,
  noisyInContextRecall,
} from "./mad/in_context_recall.ts";
export { FUZZY_IN_CONTEXT_RECALL_OPTIONS, fuzzyInContextRecall } from "./mad/fuzzy_in_context_recall.ts";
export { SELECTIVE_COPYING_OPTIONS, selectiveCopying } from "./mad/selective_copying.ts";
export { compression, COMPRESSION_OPTIONS, type CompressionBatch } from "./mad/compression.ts";
export { memorization, MEMORIZATION_OPTIONS } from "./mad/memorization.ts";
export { series } from "./series/series.ts";
export { SERIES_OPTIONS, type SeriesOptions } from "./series/options.ts";
export type { ForecastBatch } from "./series/forecasting.ts";
export { dna, DNA_OPTIONS, type DnaBatch } from "./dna/dna.ts";
export { babilong, BABILONG_OPTIONS } from "./babilong/babilong.ts";
export { needle } from "./needle/needle.ts";
export { NEEDLE_OPTIONS } from "./needle/options.ts";

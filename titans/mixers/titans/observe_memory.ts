/** What can be observed of a memory while it reads, and what validation reports of it. */
import type { Tensor } from "../../../core/graph.ts";
import { sub } from "../../../ops/mod.ts";
import type { Axis, Metric, Observe, Remedy } from "../mixer_interface.ts";
import type { MemoryLayer, MemoryLayerState } from "./memory_layer.ts";
import type { MemoryOptions } from "./options.ts";
import type { MemoryTrace } from "./trace.ts";

/** The quantities of a trace in the order in which a memory computes them. */
const QUANTITIES = [
  "theta",
  "eta",
  "alpha",
  "loss",
  "surprise",
  "momentumNorm",
  "updateNorm",
  "memoryNorm",
  "error",
  "readError",
] as const satisfies readonly (keyof MemoryTrace)[];

/** What validation reports of memories. */
export const MEMORY_METRICS = {
  memoryNorm: { of: "weights", as: "norm" },
  surpriseNorm: { of: "momentum", as: "norm" },
  memoryChange: { of: "change", as: "norm" },
  innerLoss: { of: "loss", as: "mean" },
  updateNorm: { of: "updateNorm", as: "mean" },
} as const satisfies Readonly<Record<string, Metric>>;

/** The result of running a memory. */
export interface ObservedMemory {
  /** The parameters of its layer. */
  readonly layer: MemoryLayer<Tensor>;
  /** The state from which to continue. */
  readonly state: MemoryLayerState;
  /** What it did at each token; present if requested. */
  readonly trace?: MemoryTrace;
}

/** Reports what a memory did at each token, and its weights, momentum and change since the learned start. */
export function observeMemory(observe: Observe | undefined, { layer, state, trace }: ObservedMemory): void {
  if (!observe || !trace) return;
  for (const quantity of QUANTITIES) observe(quantity, trace[quantity], ["batch", "head", "time"]);
  const axes: readonly Axis[] = ["batch", "head", "channel", "channel"];
  const { weights, surprise } = state.memory;
  weights.forEach((w) => observe("weights", w, axes));
  surprise.forEach((s) => observe("momentum", s, axes));
  weights.forEach((w, l) => observe("change", sub(w, layer.initial[l]), axes));
}

/** Advice for keeping a memory in bounds if its numbers overflow before the first update. */
export function memoryRemedies({ thetaMax, miniBatch, memoryGain }: MemoryOptions): readonly Remedy[] {
  const bounds = [{ option: "thetaMax", smallerThan: thetaMax }, { option: "miniBatch", smallerThan: miniBatch }];
  return memoryGain === "fast" ? [...bounds, { option: "memoryGain", value: "outer" }] : bounds;
}

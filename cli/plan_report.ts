/** What `plan` prints. */
import type { Compression, ModelConfig, ModelKind } from "../titans/mod.ts";
import { MEMORY_KINDS, type MemoryKind, type TrainingPlan } from "../titans/train/training_plan.ts";
import { UsageError } from "./errors.ts";
import { formatCount } from "./progress.ts";

import { type ForeseenStep, foreseeStep, type RankProfile } from "./rank_profile.ts";

/** A plan with what it is for. */
export interface PlanReport extends TrainingPlan {
  readonly preset: string;
  readonly model: ModelKind;
  readonly config: ModelConfig;
  readonly optimizer: string;
  readonly device: { readonly kind: string; readonly description: string };
  readonly limits: { readonly maxTensorBytes: number; readonly maxMemoryBytes?: number };
  /** Of one rank. */
  readonly shape: { readonly batch: number; readonly length: number; readonly accumulate: number };
  readonly ranks: number;
  /** Whether ranks share the optimizer's state. */
  readonly shard: boolean;
  /** How gradients travel. */
  readonly compress: Compression;
  readonly training: {
    readonly tokens?: number;
    /** Of one process. */
    readonly tokensPerSecond?: number;
    /** GB/s */
    readonly bandwidth?: number;
    /** Microseconds. */
    readonly latency: number;
  };
}

/** A step of several ranks: compute, and what summing the gradients takes. */
export interface StepTime {
  /** Bytes that a rank sends in a step. */
  readonly trafficBytes: number;
  readonly computeSeconds: number;
  readonly sumSeconds: number;
  /** The share of a step that is computing. */
  readonly efficiency: number;
}

/** Bytes of a number that travels; int8 has a scale of 4 bytes for 256 of them. */
const SENT_BYTES: Readonly<Record<Compression, number>> = { none: 4, bf16: 2, int8: 1 + 4 / 256 };

/**
 * The time of a step where gradients are summed around a ring: each of R ranks sends 2 (R - 1) messages of a share of
 * the gradients, and messages take `latency` and their bytes divided by `bandwidth`. Ranks that share the optimizer's
 * state send their share of the new weights as well, in R - 1 messages. Nothing overlaps.
 */
export function stepTime(
  { ranks, shard, compress, memory, tokensPerStep, training }: PlanReport,
): StepTime | undefined {
  const { tokensPerSecond, bandwidth = Infinity, latency } = training;
  if (tokensPerSecond === undefined) return undefined;
  const gathered = shard ? ranks - 1 : 0, messages = 2 * (ranks - 1) + gathered, share = memory.weights / ranks;
  const trafficBytes = (2 * (ranks - 1) * SENT_BYTES[compress] / 4 + gathered) * share;
  const computeSeconds = tokensPerStep / tokensPerSecond;
  const sumSeconds = messages * latency * 1e-6 + trafficBytes / (bandwidth * 1e9);
  return { trafficBytes, computeSeconds, sumSeconds, efficiency: computeSeconds / (computeSeconds + sumSeconds) };
}

/** A profile whose links are those of the plan's flags where one rank by itself measured none. */
function withLinks(profile: RankProfile, { latency, bandwidth = Infinity }: PlanReport["training"]): RankProfile {
  return profile.ranks > 1 ? profile : { ...profile, latency: latency * 1e-6, bandwidth: bandwidth * 1e9 };
}

/**
 * 1, 2, 4 ... ranks up to the plan's, each with the rows that it has in the plan. @throws {UsageError} for another
 * model.
 */
export function foreseen(
  { ranks, shard, compress, parameters, memory, tokensPerStep, training }: PlanReport,
  measured: RankProfile,
): ForeseenStep[] {
  const profile = withLinks(measured, training);
  if (profile.parameters !== parameters) {
    throw new UsageError(
      `--profile is of ${profile.model}, and the plan of ${
        formatCount(parameters)
      } parameters: measure the model that is planned`,
    );
  }
  const step = {
    tokens: tokensPerStep,
    gradientBytes: memory.weights * SENT_BYTES[compress] / 4,
    gatheredBytes: shard ? memory.weights : 0,
  };
  const sizes = Array.from({ length: Math.floor(Math.log2(ranks)) + 1 }, (_, i) => 2 ** i);
  return [...sizes, ...(sizes.includes(ranks) ? [] : [ranks])].map((size) => foreseeStep(profile, size, step));
}

/** What is foreseen as a table, with what it assumes and does not know. */
export function formatScaling(report: PlanReport, profile: RankProfile, steps: readonly ForeseenStep[]): string {
  const rows = steps.map(({ ranks, computing, waiting, summing, tokensPerSecond, efficiency }) => [
    formatCount(ranks),
    ...[computing, waiting, summing].map(seconds),
    formatCount(Math.round(tokensPerSecond)),
    `${Math.round(100 * efficiency)}%`,
  ]);
  const table = [["ranks", "computing", "waiting", "summing", "tokens/s", "efficiency"], ...rows];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  const lines = table.map((row) => row.map((cell, column) => cell.padStart(widths[column])).join("  "));
  return `\n${[...lines, "", ...assumptions(report, profile)].join("\n")}\n`;
}

function assumptions(report: PlanReport, measured: RankProfile): string[] {
  const profile = withLinks(measured, report.training), { ranks, ranksPerHost, alone, steps, shared } = profile;
  const { latency, bandwidth } = profile, gigabytes = bandwidth / 1e9, on = `of ${profile.device}`;
  const links = `messages that take ${(latency * 1e6).toFixed(1)} us and ${
    gigabytes > 1e3 ? "no time per byte" : `their bytes at ${gigabytes.toFixed(2)} GB/s`
  }`;
  const lines = [
    `Foreseen from ${ranks === 1 ? "one rank" : `${ranks} ranks`} ${on}, ${ranksPerHost} on a host. Assumed:`,
    ranks === 1
      ? `- a rank computes as that one did; what ranks on one host take from each other, memory bandwidth above all, is not known`
      : `- a rank computes as those did, ${ranksPerHost} on a host; by itself it took ${
        alone.toFixed(2)
      } of the time, and what more ranks on a host would take from each other, memory bandwidth above all, is not known`,
    `- sums go around a ring of ${links}${ranks === 1 ? ", by --latency and --bandwidth: one rank measured none" : ""}`,
    `- a step waits for the slowest rank; each takes one of the ${formatCount(steps.length)} steps measured, ${
      steps[0].toFixed(2)
    } to ${steps[steps.length - 1].toFixed(2)} of their mean, and none is slower`,
    "- nothing overlaps; validation, checkpoints and the rounding of compressed gradients are left out",
  ];
  if (ranks === 1) return lines;
  const { tokens, gradientBytes, seconds: took } = shared;
  const { computing, waiting, summing } = foreseeStep(profile, ranks, { tokens, gradientBytes, gatheredBytes: 0 });
  const foreseen = computing + waiting + summing, off = Math.round(100 * (foreseen / took - 1));
  lines.push(
    `Of the step that those ${ranks} ranks shared it foresees ${seconds(foreseen)}, and it took ${seconds(took)}: ${
      off === 0 ? "the same" : `${Math.abs(off)}% too ${off < 0 ? "little" : "much"}`
    }.`,
  );
  return lines;
}

const NAMES: Readonly<Record<MemoryKind, string>> = {
  weights: "weights",
  moments: "optimizer moments",
  gradients: "gradients",
  activations: "activations",
  batch: "batch",
  other: "constants, results",
};

/** Characters of the longest bar, and tensors that are listed. */
const BAR = 40, MOST_SHOWN = 5;

/** A plan as text: rows of names and values, and a picture of the memory. */
export function formatPlan(report: PlanReport): string {
  const { config, memory, totalBytes, shape: { batch, length, accumulate }, ranks } = report;
  const blocks = typeof config.blocks === "number" ? config.blocks : config.blocks.length;
  const times = accumulate > 1 ? `${accumulate} x ` : "";
  const rows: [string, string][] = [
    ["model", `${report.model} ${report.preset}: ${formatCount(report.parameters)} parameters`],
    [
      "",
      `${blocks} blocks of width ${formatCount(config.width)}, ${config.heads} heads, MLPs of ${
        formatCount(config.mlpHidden)
      }, ${formatCount(config.vocabulary)} token ids`,
    ],
    ["device", `${report.device.kind}: ${report.device.description}`],
    [
      "step",
      `${times}${batch} x ${formatCount(length)} tokens${
        ranks > 1 ? ` on each of ${ranks} ranks` : ""
      }, ${report.optimizer}; ${report.kernels} kernels`,
    ],
    ["arithmetic", `${(report.flopsPerToken / 1e9).toFixed(2)} GFLOPs per token, forward, backward and update`],
    ...trainingRows(report),
  ];
  const width = Math.max(...Object.values(NAMES).map((name) => name.length));
  const bars = MEMORY_KINDS.map((kind) => {
    const share = Math.round(BAR * memory[kind] / totalBytes);
    return `${NAMES[kind].padEnd(width)}  ${megabytes(memory[kind])}  ${"#".repeat(share)}`.trimEnd();
  });
  const lines = [
    ...rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`),
    "",
    `${`memory of a step${ranks > 1 ? ", a rank" : ""}`.padEnd(width)}         MB`,
    ...bars,
    `${"total".padEnd(width)}  ${megabytes(totalBytes)}`,
    ...limitLines(report),
  ];
  return `${lines.join("\n")}\n`;
}

function trainingRows(report: PlanReport): [string, string][] {
  const { training: { tokens, tokensPerSecond }, tokensPerStep, ranks } = report, time = stepTime(report);
  const rows: [string, string][] = [];
  const steps = tokens === undefined ? undefined : Math.ceil(tokens / (tokensPerStep * ranks));
  if (steps !== undefined) rows.push(["training", `${formatCount(tokens!)} tokens: ${formatCount(steps)} steps`]);
  if (time && ranks > 1) {
    rows.push([
      "ranks",
      `${megabytes(time.trafficBytes).trim()} MB sent by each in a step; ${seconds(time.computeSeconds)} computing, ${
        seconds(time.sumSeconds)
      } summing: ${Math.round(100 * time.efficiency)}% efficiency`,
    ]);
  }
  if (steps !== undefined && time) {
    const days = steps * (time.computeSeconds + time.sumSeconds) / 86_400;
    rows.push([
      "time",
      `${days < 10 ? days.toFixed(2) : formatCount(Math.round(days))} days at ${
        formatCount(tokensPerSecond!)
      } tokens/s${ranks > 1 ? " on each rank" : ""}`,
    ]);
  } else if (steps !== undefined) rows.push(["time", "give --tokens-per-second, as train reports it, for the days"]);
  return rows;
}

/** What the device cannot hold, and what to do. */
function limitLines({ tooLarge, totalBytes, limits, device }: PlanReport): string[] {
  const { maxTensorBytes, maxMemoryBytes = Infinity } = limits;
  const tensors = tooLarge.slice(0, MOST_SHOWN).map(({ label, type, sizeBytes }) =>
    `  ${label} ${type}: ${megabytes(sizeBytes).trim()} MB`
  );
  const more = tooLarge.length > tensors.length ? [`  and ${tooLarge.length - tensors.length} more`] : [];
  const reasons = [
    ...(totalBytes > maxMemoryBytes
      ? [`does not fit: ${device.kind} has at most ${megabytes(maxMemoryBytes).trim()} MB of memory`]
      : []),
    ...(tooLarge.length > 0
      ? [
        `does not fit: one tensor may take at most ${megabytes(maxTensorBytes).trim()} MB on ${device.kind}`,
        ...tensors,
        ...more,
      ]
      : []),
  ];
  return reasons.length === 0
    ? []
    : ["", ...reasons, "use a smaller model, batch or sequence, or a device with a higher limit"];
}

function seconds(value: number): string {
  return value < 0.1 ? `${(1000 * value).toFixed(1)} ms` : `${value.toFixed(2)} s`;
}

function megabytes(bytes: number): string {
  const value = bytes / 1e6;
  return (value < 10 ? value.toFixed(2) : formatCount(Math.round(value))).padStart(9);
}

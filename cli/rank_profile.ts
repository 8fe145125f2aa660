/**
 * What was measured of ranks, and what it says of other numbers of them: a model of a step's time.
 *
 *     step = computing + waiting + summing
 *     computing = crowding (fixed + perToken tokens)      crowding is `alone` for one rank of a host, 1 for `ranksPerHost`
 *     waiting = computing (slowest - 1)                   the mean of the slowest of R steps, over that of one
 *     summing = 2 (R - 1) (latency + share of the gradients / bandwidth)            around a ring of R ranks
 */
import { UsageError } from "./errors.ts";

/** What `profile` writes. */
export interface RankProfile {
  readonly format: "mneme-rank-profile-2";
  /** How many ranks measured at the same time. */
  readonly ranks: number;
  /** How many of them shared a host. */
  readonly ranksPerHost: number;
  /** The model, in one line, and its parameters. */
  readonly model: string;
  readonly parameters: number;
  /** Of a rank's device. */
  readonly device: string;
  /** Seconds of a message, however short. */
  readonly latency: number;
  /** Bytes per second between two ranks. */
  readonly bandwidth: number;
  /** Seconds of a step that do not depend on its tokens: the update, above all. All ranks compute at the same time. */
  readonly fixed: number;
  /** Seconds of gradient per token. */
  readonly perToken: number;
  /** Seconds of a step of one process while no other rank computes, over those of a rank beside the others. */
  readonly alone: number;
  /** How long each of the measured steps took, over their mean, in ascending order. */
  readonly steps: readonly number[];
  /** A step that the ranks shared: what is foreseen of it can be held against what it took. */
  readonly shared: { readonly tokens: number; readonly gradientBytes: number; readonly seconds: number };
}

/** The seconds of adding up vectors of some bytes. */
export interface SumTime {
  readonly sizeBytes: number;
  readonly seconds: number;
}

/** Latency and bandwidth from the times of the smallest and the largest sum; free of charge with one rank. */
export function fitSums(times: readonly SumTime[], ranks: number): Pick<RankProfile, "latency" | "bandwidth"> {
  const messages = 2 * (ranks - 1), [small] = times, large = times[times.length - 1];
  if (messages === 0) return { latency: 0, bandwidth: Number.MAX_VALUE };
  const perByte = Math.max(0, large.seconds - small.seconds) / (large.sizeBytes - small.sizeBytes);
  return { latency: small.seconds / messages, bandwidth: perByte > 0 ? messages / ranks / perByte : Number.MAX_VALUE };
}

/** The parts of a step's time that does not depend on tokens, and of that which does, from steps of two lengths. */
export function fitSteps(
  short: { readonly tokens: number; readonly seconds: number },
  long: { readonly tokens: number; readonly seconds: number },
): Pick<RankProfile, "fixed" | "perToken"> {
  // No token takes less than no time, nor more than its share of the long steps: these are always given back.
  const perToken = Math.max(0, long.seconds - short.seconds) / (long.tokens - short.tokens);
  if (perToken * long.tokens >= long.seconds) return { perToken: long.seconds / long.tokens, fixed: 0 };
  return { perToken, fixed: long.seconds - perToken * long.tokens };
}

/** Seconds of adding up vectors around a ring. */
export function sumSeconds(
  { latency, bandwidth }: Pick<RankProfile, "latency" | "bandwidth">,
  ranks: number,
  sizeBytes: number,
): number {
  return 2 * (ranks - 1) * (latency + sizeBytes / ranks / bandwidth);
}

/**
 * The mean of the slowest of some steps, each of which is any of those that were measured, over the mean of one. It is
 * at most the slowest that was seen.
 * @param steps Durations over their mean, in ascending order.
 */
export function slowestOf(steps: readonly number[], ranks: number): number {
  const share = (i: number): number => (i / steps.length) ** ranks;
  return steps.reduce((sum, step, i) => sum + step * (share(i + 1) - share(i)), 0);
}

/** Durations over their mean, in ascending order. */
export function relative(seconds: readonly number[]): number[] {
  return seconds.map((each) => each / mean(seconds)).sort((a, b) => a - b);
}

/** The mean of some numbers. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value) / values.length;
}

/** A step of some ranks as it is foreseen, in seconds. */
export interface ForeseenStep {
  readonly ranks: number;
  readonly computing: number;
  readonly waiting: number;
  readonly summing: number;
  /** Of all ranks together. */
  readonly tokensPerSecond: number;
  /** Tokens per second and rank, over those of one rank by itself. */
  readonly efficiency: number;
}

/** What a rank does in a step. */
export interface RankStep {
  readonly tokens: number;
  /** Bytes of the gradient as it travels, and of the weights that are gathered, if they are. */
  readonly gradientBytes: number;
  readonly gatheredBytes: number;
}

/** Foresees a step. @param step Of each rank. */
export function foreseeStep(profile: RankProfile, ranks: number, step: RankStep): ForeseenStep {
  const { latency, bandwidth, fixed, perToken, alone, ranksPerHost, steps } = profile;
  const { tokens, gradientBytes, gatheredBytes } = step, others = ranks - 1;
  const beside = fixed + perToken * tokens, byItself = alone * beside;
  // Ranks fill a host before they go to another; each that is there slows the others as much as the one before.
  const crowding = ranksPerHost > 1 ? Math.min(1, others / (ranksPerHost - 1)) : Number(others > 0);
  const computing = byItself + crowding * (beside - byItself);
  // The slowest of one is the mean, but for rounding.
  const waiting = computing * Math.max(0, slowestOf(steps, ranks) - 1);
  const summing = sumSeconds(profile, ranks, gradientBytes) +
    (gatheredBytes > 0 ? others * (latency + gatheredBytes / ranks / bandwidth) : 0);
  const seconds = computing + waiting + summing;
  return {
    ranks,
    computing,
    waiting,
    summing,
    tokensPerSecond: ranks * tokens / seconds,
    efficiency: byItself / seconds,
  };
}

/** Reads a profile. @throws {UsageError} if the text is none. */
export function readRankProfile(text: string, path: string): RankProfile {
  let found: Partial<RankProfile> | null = null;
  try {
    found = JSON.parse(text) as Partial<RankProfile> | null;
  } catch {
    // Said below, as of other texts.
  }
  if (!isProfile(found)) {
    throw new UsageError(
      `--profile cannot be ${path}: it is no profile of this version; deno task profile:mpi writes one`,
    );
  }
  return found;
}

function isProfile(found: Partial<RankProfile> | null): found is RankProfile {
  if (found?.format !== "mneme-rank-profile-2" || !Array.isArray(found.steps) || found.steps.length === 0) return false;
  const { ranks, ranksPerHost, parameters, latency, bandwidth, fixed, perToken, alone, steps, shared } = found;
  const { tokens, gradientBytes, seconds } = shared ?? {};
  const numbers = [ranks, ranksPerHost, parameters, latency, bandwidth, fixed, perToken, alone, tokens, gradientBytes];
  return [...numbers, seconds, ...steps].every((number) => Number.isFinite(number) && number! >= 0);
}

/**
 * What was measured of ranks, and what it says of other numbers of them: a model of a step's time with five numbers.
 *
 *     step = fixed + perToken tokens + waiting + summing
 *     summing = 2 (R - 1) (latency + share of the gradients / bandwidth)        around a ring of R ranks
 *     waiting = spread sqrt(2 ln R)                 the slowest of R, where steps vary like independent normal numbers
 */
import { UsageError } from "./errors.ts";

/** What `profile` writes. */
export interface RankProfile {
  readonly format: "mneme-rank-profile-1";
  /** How many ranks measured at the same time. */
  readonly ranks: number;
  /** The model, in one line, and its parameters. */
  readonly model: string;
  readonly parameters: number;
  /** Of a rank's device. */
  readonly device: string;
  /** Seconds of a message, however short. */
  readonly latency: number;
  /** Bytes per second between two ranks. */
  readonly bandwidth: number;
  /** Seconds of a step that do not depend on its tokens: the update, above all. */
  readonly fixed: number;
  /** Seconds of gradient per token. */
  readonly perToken: number;
  /** Standard deviation of a step's seconds, as the waiting of ranks that share one says. */
  readonly spread: number;
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
  const perToken = Math.max(0, long.seconds - short.seconds) / (long.tokens - short.tokens);
  return { perToken, fixed: Math.max(0, long.seconds - perToken * long.tokens) };
}

/** Seconds of adding up vectors around a ring. */
export function sumSeconds(
  { latency, bandwidth }: Pick<RankProfile, "latency" | "bandwidth">,
  ranks: number,
  sizeBytes: number,
): number {
  return 2 * (ranks - 1) * (latency + sizeBytes / ranks / bandwidth);
}

/** How long some ranks wait for the slowest of them, over the standard deviation of a step. */
const waitingFactor = (ranks: number): number => Math.sqrt(2 * Math.log(ranks));

/** The standard deviation for which ranks wait as long as they were seen to. */
export function spreadOf(waiting: number, ranks: number): number {
  return ranks === 1 ? 0 : Math.max(0, waiting) / waitingFactor(ranks);
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
  const { latency, bandwidth, fixed, perToken, spread } = profile, { tokens, gradientBytes, gatheredBytes } = step;
  const computing = fixed + perToken * tokens, others = ranks - 1;
  const waiting = spread * waitingFactor(ranks);
  const summing = sumSeconds(profile, ranks, gradientBytes) +
    (gatheredBytes > 0 ? others * (latency + gatheredBytes / ranks / bandwidth) : 0);
  const seconds = computing + waiting + summing;
  return {
    ranks,
    computing,
    waiting,
    summing,
    tokensPerSecond: ranks * tokens / seconds,
    efficiency: computing / seconds,
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
  const numbers = ["ranks", "parameters", "latency", "bandwidth", "fixed", "perToken", "spread"] as const;
  if (
    found?.format !== "mneme-rank-profile-1" ||
    !numbers.every((name) => Number.isFinite(found[name]) && found[name]! >= 0)
  ) {
    throw new UsageError(`--profile cannot be ${path}: it is no profile; deno task profile:mpi writes one`);
  }
  return found as RankProfile;
}

/** Samples the next token from logits, on the host and reproducibly. */
import { SamplingError } from "../errors.ts";
import { HostRng } from "../nn/host_rng.ts";
import { type OptionsOf, type OptionTable, resolveOptions } from "../options/option_table.ts";

/** How a token is chosen. The filters apply in the order temperature, top-k, top-p, min-p. */
export const SAMPLING_OPTIONS = {
  temperature: {
    kind: "number",
    default: 1,
    min: 0,
    help: "divides the logits: below 1 safer, above 1 wilder; 0 takes the likeliest token",
  },
  topK: {
    kind: "integer",
    default: 0,
    min: 0,
    help: "only the k likeliest tokens; 0 for all",
    idleWith: { temperature: [0] },
  },
  topP: {
    kind: "number",
    default: 1,
    min: 0,
    aboveMin: true,
    max: 1,
    help: "only the likeliest tokens that together reach this probability",
    idleWith: { temperature: [0] },
  },
  minP: {
    kind: "number",
    default: 0,
    min: 0,
    max: 1,
    help: "only tokens at least this share as likely as the likeliest",
    idleWith: { temperature: [0] },
  },
  seed: { kind: "integer", default: 0, help: "same seed, same choices", idleWith: { temperature: [0] } },
} as const satisfies OptionTable;

/** How to choose; see {@link SAMPLING_OPTIONS}. */
export type SamplingOptions = Partial<OptionsOf<typeof SAMPLING_OPTIONS>>;

/** Draws tokens: the n-th choice is a pure function of logits, options and n. */
export class Sampler {
  #options: OptionsOf<typeof SAMPLING_OPTIONS>;
  #rng: HostRng;

  /**
   * A sampler of options.
   * @throws {ConfigError} naming the first option that cannot be.
   */
  constructor(options: SamplingOptions = {}) {
    this.#options = resolveOptions("Sampler", SAMPLING_OPTIONS, options);
    this.#rng = new HostRng(this.#options.seed, "sampling");
  }

  /**
   * Chooses a token.
   * @param logits One per token.
   * @param n Number of the choice, which tells draws of one seed apart.
   * @throws {SamplingError} if a logit is NaN, or none is finite.
   */
  choose(logits: ArrayLike<number>, n: number): number {
    requireLogits(logits);
    const { temperature } = this.#options;
    if (temperature === 0) return largest(logits);
    const candidates = this.candidates(logits);
    const total = candidates.reduce((sum, { probability }) => sum + probability, 0);
    let left = this.#rng.uniform(n) * total;
    for (const { token, probability } of candidates) {
      left -= probability;
      if (left < 0) return token;
    }
    return candidates[candidates.length - 1].token;
  }

  /** The tokens that may be chosen and their probabilities (before renormalising), the most likely first. */
  candidates(logits: ArrayLike<number>): { token: number; probability: number }[] {
    const { temperature, topK, topP, minP } = this.#options;
    const highest = logits[largest(logits)];
    const weights = Array.from(logits, (logit) => Math.exp((logit - highest) / (temperature || 1)));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    // Array.sort is stable: among equals the lower token comes first.
    let kept = weights.map((weight, token) => ({ token, probability: weight / total })).sort((a, b) =>
      b.probability - a.probability
    );
    if (topK > 0) kept = kept.slice(0, topK);
    if (topP < 1) kept = nucleus(kept, topP);
    return kept.filter(({ probability }) => probability > 0 && probability >= minP * kept[0].probability);
  }
}

/** The shortest prefix whose share of the whole reaches `topP`. */
function nucleus(
  sorted: { token: number; probability: number }[],
  topP: number,
): { token: number; probability: number }[] {
  const total = sorted.reduce((sum, { probability }) => sum + probability, 0);
  let reached = 0;
  const end = sorted.findIndex(({ probability }) => (reached += probability) >= topP * total);
  return end < 0 ? sorted : sorted.slice(0, end + 1);
}

/**
 * Nothing can be chosen by logits of which one is NaN or infinite; minus infinity stands for a token that must not
 * come.
 */
function requireLogits(logits: ArrayLike<number>): void {
  let finite = 0;
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i];
    if (logit < Infinity) finite += Number(logit > -Infinity);
    else {throw new SamplingError(
        `Cannot choose a token: the logit of token ${i} is ${logit}; the weights are broken, or the memory is after what was read`,
      );}
  }
  if (finite === 0) throw new SamplingError(`Cannot choose a token: none of ${logits.length} logits is finite`);
}

function largest(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

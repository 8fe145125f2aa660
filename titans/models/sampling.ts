/** Choosing the next token from logits, on the host and reproducibly. */
import { optionNames } from "../../core/options.ts";
import { checkNames, ConfigError, SamplingError } from "../errors.ts";
import { HostRng } from "../nn/host_rng.ts";

/** How to choose. Filters apply in the order temperature, top-k, top-p, min-p. */
export interface SamplingOptions {
  /** Divides the logits; 0 takes the most likely token. 1 unless said. */
  readonly temperature?: number;
  /** Only the k most likely tokens; 0 for all. */
  readonly topK?: number;
  /** Only the most likely tokens that together reach this probability; 1 for all. */
  readonly topP?: number;
  /** Only tokens at least this share as likely as the most likely one; 0 for all. */
  readonly minP?: number;
  /** Same seed, same choices; 0 unless said. */
  readonly seed?: number;
}

/** The names of the options of sampling, each with the compiler's word that it is one. */
export const SAMPLING: { readonly [K in keyof Required<SamplingOptions>]: true } = {
  temperature: true,
  topK: true,
  topP: true,
  minP: true,
  seed: true,
};

const SAMPLING_OPTIONS = optionNames<SamplingOptions>(SAMPLING);

/** Draws tokens: the n-th choice is a pure function of logits, options and n. */
export class Sampler {
  #options: Required<SamplingOptions>;
  #rng: HostRng;

  /**
   * A sampler of options.
   * @throws {ConfigError} naming the first option that cannot be.
   */
  constructor(options: SamplingOptions = {}) {
    checkNames("Sampler", options, SAMPLING_OPTIONS);
    const { temperature = 1, topK = 0, topP = 1, minP = 0, seed = 0 } = options;
    const check = (field: string, value: number, holds: boolean, rule: string): void => {
      if (!holds) throw new ConfigError(`Cannot sample with ${field} ${value}: it must be ${rule}`, field);
    };
    check("temperature", temperature, temperature >= 0 && Number.isFinite(temperature), "a number of at least 0");
    check("topK", topK, Number.isInteger(topK) && topK >= 0, "an integer of at least 0");
    check("topP", topP, topP > 0 && topP <= 1, "above 0 and at most 1");
    check("minP", minP, minP >= 0 && minP <= 1, "from 0 to 1");
    check("seed", seed, Number.isInteger(seed), "an integer");
    this.#options = { temperature, topK, topP, minP, seed };
    this.#rng = new HostRng(seed, "sampling");
  }

  /**
   * Chooses a token.
   * @param logits One a token.
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

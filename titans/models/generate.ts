/** Generation: tokens are sampled one after another, and each is read before the next is sampled. */
import type { OptionNames } from "../../core/options.ts";
import { checkNames, ConfigError } from "../errors.ts";
import type { Decoder } from "./decoder.ts";
import { Sampler, SAMPLING_OPTIONS, type SamplingOptions } from "./sampling.ts";

/** Options of {@link generate}. */
export interface GenerateOptions extends SamplingOptions {
  /** Maximum number of tokens to generate. */
  readonly maxTokens: number;
  /** The token that an empty prompt at the beginning of a text stands for. Default: 10, the newline among bytes. */
  readonly start?: number;
  /**
   * Sequences of tokens that end the writing where they would appear; they are not given. A text as bytes where tokens
   * are bytes.
   */
  readonly stop?: readonly ArrayLike<number>[];
}

const GENERATE_OPTIONS: OptionNames = [...Object.keys(SAMPLING_OPTIONS), "maxTokens", "start", "stop"];

/**
 * Writes tokens after a prompt, giving each as soon as it is chosen; with stop sequences, as soon as it is sure to be
 * part of none.
 * @param decoder The state after a text; generation continues from there. The last generated token is not read: start
 * the next prompt with it to continue.
 * @param prompt Token ids; may be empty.
 * @param options How many and how to choose.
 * @throws {RangeError} if a token lies outside the vocabulary.
 * @throws {ConfigError} if an option cannot be, or there are more tokens to write than the model's attention holds;
 * {SamplingError} if logits are not finite.
 */
export async function* generate(
  decoder: Decoder,
  prompt: ArrayLike<number>,
  options: GenerateOptions,
): AsyncGenerator<number, void, void> {
  checkNames("generate", options, GENERATE_OPTIONS);
  const { maxTokens, temperature, topK, topP, minP, seed } = options;
  const sampler = new Sampler({ temperature, topK, topP, minP, seed });
  const stop = (options.stop ?? []).map((sequence) => Array.from(sequence));
  if (stop.some((sequence) => sequence.length === 0)) {
    throw new ConfigError("Cannot stop at an empty stop sequence: give at least one token", "stop");
  }
  checkRoom(decoder, prompt, maxTokens);
  const held: number[] = [];
  let logits = prompt.length > 0
    ? await decoder.read(prompt)
    : decoder.logits ?? await decoder.read([options.start ?? 10]);
  for (let n = 0; n < maxTokens; n++) {
    const token = sampler.choose(logits, n);
    held.push(token);
    const found = stop.find((sequence) =>
      sequence.length <= held.length && matches(sequence, held, held.length - sequence.length)
    );
    if (found) {
      yield* held.slice(0, held.length - found.length);
      return;
    }
    yield* held.splice(0, held.length - undecided(stop, held));
    if (n + 1 < maxTokens) logits = await decoder.read([token]);
  }
  yield* held;
}

/** Checks before the first token that the last one fits, so that no text breaks off in the middle. */
function checkRoom({ model: { maxLength }, tokensRead }: Decoder, prompt: ArrayLike<number>, maxTokens: number): void {
  const before = tokensRead + prompt.length || 1, room = maxLength - before + 1;
  if (maxTokens <= room) return;
  throw new ConfigError(
    `Cannot write ${maxTokens} tokens after ${before}: this model's attention holds ${maxLength}; ` +
      (room > 0 ? `write at most ${room}, or train a model with a larger maxLength` : "give a shorter prompt"),
    "maxTokens",
  );
}

/** How many of the last tokens may be the beginning of a stop sequence. */
function undecided(stop: readonly number[][], tokens: readonly number[]): number {
  const from = tokens.findIndex((_, start) =>
    stop.some((sequence) => tokens.length - start < sequence.length && matches(sequence, tokens, start))
  );
  return from < 0 ? 0 : tokens.length - from;
}

/** Whether the tokens from `start` on are those with which a sequence begins. */
function matches(sequence: readonly number[], tokens: readonly number[], start: number): boolean {
  return tokens.slice(start).every((token, i) => i >= sequence.length || token === sequence[i]);
}

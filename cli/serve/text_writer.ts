/** Writes one text of a completion: chooses tokens, turns them into text, and ends it at a stop or at the last token. */
import { Sampler } from "../../titans/mod.ts";
import { StopText } from "../data/stop_text.ts";
import { TokenDecoder, type Vocabulary } from "../data/vocabulary.ts";
import type { CompletionRequest } from "./completion_request.ts";
import type { Writer } from "./engine.ts";

/** Log probabilities of tokens in OpenAI's format. */
export interface Logprobs {
  readonly tokens: string[];
  readonly token_logprobs: number[];
  readonly top_logprobs: Record<string, number>[];
  readonly text_offset: number[];
}

/** A part of a text that is sure to be part of it. */
export interface Piece {
  readonly text: string;
  readonly logprobs: Logprobs | null;
}

/** Why a text ended. */
export type FinishReason = "stop" | "length";

interface TokenRecord {
  readonly token: string;
  readonly logprob: number;
  readonly top: Record<string, number>;
  readonly offset: number;
}

/** How a text is written. */
export interface TextOptions {
  readonly request: CompletionRequest;
  readonly vocabulary: Vocabulary;
  /** The number of the text in the request. */
  readonly index: number;
  /** Receives pieces as they become sure. */
  readonly emit: (piece: Piece) => void;
  /** See {@link Writer.full}. */
  readonly full?: () => Promise<void> | undefined;
}

/** A text that is being written. */
export class TextWriter implements Writer {
  readonly #options: TextOptions;
  readonly #sampler: Sampler;
  readonly #decoder: TokenDecoder;
  readonly #stops: StopText;
  readonly #records: TokenRecord[] = [];
  #tokens = 0;
  #decoded = 0;
  #emitted = 0;
  #reason: FinishReason | undefined;

  constructor(options: TextOptions) {
    const { request: { temperature, topK, topP, minP, seed, stop }, index } = options;
    this.#options = options;
    this.#sampler = new Sampler({ temperature, topK, topP, minP, seed: (seed + index) % 2 ** 32 });
    this.#decoder = new TokenDecoder(options.vocabulary);
    this.#stops = new StopText(stop);
  }

  /** Tokens written so far. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Why the text ended; undefined before it has. */
  get reason(): FinishReason | undefined {
    return this.#reason;
  }

  get done(): boolean {
    return this.#reason !== undefined;
  }

  full(): Promise<void> | undefined {
    return this.#options.full?.();
  }

  next(logits: Float32Array): number {
    const token = this.#sampler.choose(logits, this.#tokens++), { request } = this.#options;
    if (request.logprobs !== undefined) this.#record(logits, token, request.logprobs);
    const text = this.#decoder.next(token);
    this.#decoded += text.length;
    const released = this.#stops.next(text);
    if (this.#stops.ended) this.#reason = "stop";
    else if (this.#tokens === request.maxTokens) this.#reason = "length";
    // An incomplete character at the end is left out; what may begin a stop belongs to the text after all.
    this.#emit(released + (this.#reason === "length" ? this.#stops.end() : ""));
    return token;
  }

  #emit(text: string): void {
    this.#emitted += text.length;
    if (text === "") return;
    this.#options.emit({ text, logprobs: this.#options.request.logprobs === undefined ? null : this.#released() });
  }

  /** The records of the tokens that begin in what was emitted. */
  #released(): Logprobs {
    const count = this.#records.findIndex(({ offset }) => offset >= this.#emitted);
    const records = this.#records.splice(0, count < 0 ? this.#records.length : count);
    return {
      tokens: records.map(({ token }) => token),
      token_logprobs: records.map(({ logprob }) => logprob),
      top_logprobs: records.map(({ top }) => top),
      text_offset: records.map(({ offset }) => offset),
    };
  }

  #record(logits: Float32Array, token: number, count: number): void {
    const highest = logits.reduce((a, b) => Math.max(a, b)), { vocabulary } = this.#options;
    const logSum = highest + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - highest), 0));
    const ranked = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a]).slice(0, count);
    const name = (id: number): string => tokenName(vocabulary.bytesOf(id));
    this.#records.push({
      token: name(token),
      logprob: logits[token] - logSum,
      top: Object.fromEntries(ranked.map((id) => [name(id), logits[id] - logSum])),
      offset: this.#decoded,
    });
  }
}

/** A token as text, or as `bytes:\xe2\x82` if it is no whole characters. */
function tokenName(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
  }
}

/** Joins the log probabilities of pieces. */
export function joinLogprobs(parts: readonly Logprobs[]): Logprobs {
  return {
    tokens: parts.flatMap(({ tokens }) => tokens),
    token_logprobs: parts.flatMap(({ token_logprobs }) => token_logprobs),
    top_logprobs: parts.flatMap(({ top_logprobs }) => top_logprobs),
    text_offset: parts.flatMap(({ text_offset }) => text_offset),
  };
}

/** What `POST /v1/completions` takes: OpenAI's parameters, those that the sampler has beside, and a memory. */
import type { Vocabulary } from "../data/vocabulary.ts";
import { invalid, noSuchModel } from "./api_error.ts";
import { checkKnown } from "./body.ts";

/** A request to write. */
export interface CompletionRequest {
  /** Tokens of each prompt, with its text where it was given as one. */
  readonly prompts: readonly Prompt[];
  /** Texts for each prompt. */
  readonly n: number;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly minP: number;
  /** That of the first text; the others count on from it. */
  readonly seed: number;
  readonly stop: readonly string[];
  readonly stream: boolean;
  /** Whether a stream ends with the number of tokens. */
  readonly includeUsage: boolean;
  /** How many of the likeliest tokens are reported with their log probabilities; undefined for none. */
  readonly logprobs: number | undefined;
  /** The memory to write from. */
  readonly memory: string | undefined;
  /** Whether the memory learns the prompt and what was written after it. */
  readonly learn: boolean;
}

/** What is to be continued. */
export interface Prompt {
  readonly tokens: ArrayLike<number>;
  /** As it was given; undefined for tokens. */
  readonly text: string | undefined;
}

/** What the request is checked against. */
export interface CompletionLimits {
  readonly model: string;
  readonly vocabulary: Vocabulary;
  readonly maxTokens: number;
}

const KNOWN = [
  "model",
  "prompt",
  "max_tokens",
  "n",
  "temperature",
  "top_p",
  "top_k",
  "min_p",
  "seed",
  "stop",
  "stream",
  "stream_options",
  "logprobs",
  "memory",
  "learn",
  "user",
];

/** Parameters of OpenAI's API that change nothing at these values, and are not supported at others. */
const NEUTRAL: Readonly<Record<string, readonly unknown[]>> = {
  best_of: [1],
  echo: [false],
  frequency_penalty: [0],
  presence_penalty: [0],
  logit_bias: [],
  suffix: [""],
};

const MOST = { n: 128, stop: 4, logprobs: 5, prompts: 128 };

type Given = Readonly<Record<string, unknown>>;

/** Reads a request. @throws {ApiError} naming the first parameter that cannot be. */
export function parseCompletion(given: Given, limits: CompletionLimits): CompletionRequest {
  checkKnown(given, [...KNOWN, ...Object.keys(NEUTRAL)]);
  for (const [name, neutral] of Object.entries(NEUTRAL)) {
    const value = given[name] ?? undefined;
    const isEmpty = typeof value === "object" && value !== null && Object.keys(value).length === 0;
    if (value === undefined || isEmpty || neutral.includes(value)) continue;
    throw invalid(name, `${name} is not supported by this server: leave it out`, "unsupported_parameter");
  }
  const model = given.model ?? limits.model;
  if (model !== limits.model) throw noSuchModel(model, limits.model);
  const memory = given.memory ?? undefined, prompts = promptsOf(given.prompt, limits.vocabulary);
  if (memory !== undefined && typeof memory !== "string") throw invalid("memory", "memory must be the id of a memory");
  const options = given.stream_options ?? {};
  if (typeof options !== "object") throw invalid("stream_options", "stream_options must be an object");
  checkKnown(options as Given, ["include_usage", "include_obfuscation"]);
  const request: CompletionRequest = {
    prompts,
    n: numberOf(given, "n", { fallback: 1, min: 1, max: MOST.n, integer: true }),
    maxTokens: numberOf(given, "max_tokens", { fallback: 16, min: 1, max: limits.maxTokens, integer: true }),
    temperature: numberOf(given, "temperature", { fallback: 1, min: 0, max: 2 }),
    topP: numberOf(given, "top_p", { fallback: 1, min: 0, max: 1 }) || Number.MIN_VALUE,
    topK: Math.max(0, numberOf(given, "top_k", { fallback: 0, min: -1, max: limits.vocabulary.size, integer: true })),
    minP: numberOf(given, "min_p", { fallback: 0, min: 0, max: 1 }),
    seed: numberOf(given, "seed", {
      fallback: crypto.getRandomValues(new Uint32Array(1))[0],
      min: Number.MIN_SAFE_INTEGER,
      max: Number.MAX_SAFE_INTEGER,
      integer: true,
    }),
    stop: stopOf(given.stop),
    stream: flagOf(given, "stream"),
    includeUsage: flagOf(options as Given, "include_usage"),
    logprobs: given.logprobs === undefined || given.logprobs === null
      ? undefined
      : numberOf(given, "logprobs", { fallback: 0, min: 0, max: MOST.logprobs, integer: true }),
    memory,
    learn: flagOf(given, "learn"),
  };
  if (request.learn && memory === undefined) {
    throw invalid("learn", "learn needs a memory to learn into: give its id as memory");
  }
  if (request.learn && request.n * prompts.length > 1) {
    throw invalid("learn", "A memory learns one text at a time: learn takes one prompt and n 1");
  }
  return request;
}

function promptsOf(prompt: unknown, vocabulary: Vocabulary): Prompt[] {
  const fromText = (text: string): Prompt => ({ tokens: vocabulary.encode(text), text });
  const isTokens = (value: unknown): value is number[] =>
    Array.isArray(value) && value.length > 0 && value.every((token) => typeof token === "number");
  const one = (value: unknown): Prompt => {
    if (typeof value === "string") return fromText(value);
    if (!isTokens(value)) {
      throw invalid("prompt", "prompt must be a string, an array of strings, or arrays of token ids");
    }
    const wrong = value.find((token) => !Number.isInteger(token) || token < 0 || token >= vocabulary.size);
    if (wrong === undefined) return { tokens: value, text: undefined };
    throw invalid("prompt", `prompt has the token ${wrong}: tokens go from 0 to ${vocabulary.size - 1}`);
  };
  if (prompt === undefined || prompt === null) return [fromText("")];
  if (!Array.isArray(prompt) || isTokens(prompt)) return [one(prompt)];
  if (prompt.length === 0 || prompt.length > MOST.prompts) {
    throw invalid("prompt", `prompt must have 1 to ${MOST.prompts} texts, not ${prompt.length}`);
  }
  return prompt.map(one);
}

function stopOf(stop: unknown): string[] {
  const stops = stop === undefined || stop === null ? [] : Array.isArray(stop) ? stop : [stop];
  if (stops.length <= MOST.stop && stops.every((text) => typeof text === "string" && text !== "")) return stops;
  throw invalid("stop", `stop must be a text, or up to ${MOST.stop} of them, none empty`);
}

interface Range {
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
  readonly integer?: boolean;
}

function numberOf(given: Given, name: string, { fallback, min, max, integer }: Range): number {
  const value = given[name] ?? fallback;
  if (typeof value === "number" && value >= min && value <= max && (!integer || Number.isInteger(value))) return value;
  throw invalid(
    name,
    `${name} must be ${integer ? "an integer" : "a number"} from ${min} to ${max}, not ${JSON.stringify(value)}`,
  );
}

function flagOf(given: Given, name: string): boolean {
  const value = given[name] ?? false;
  if (typeof value === "boolean") return value;
  throw invalid(name, `${name} must be true or false`);
}

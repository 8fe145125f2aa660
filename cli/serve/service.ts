/** What the handlers of requests share. */
import type { Decoder, DecodeState } from "../../titans/mod.ts";
import type { Vocabulary } from "../data/vocabulary.ts";
import type { Admission } from "./admission.ts";
import { ApiError } from "./api_error.ts";
import type { Engine } from "./engine.ts";
import type { MemoryStore } from "./memories.ts";
import type { Metrics } from "./metrics.ts";

/** Bounds of requests. */
export interface Limits {
  /** Tokens that a request may ask for. */
  readonly maxTokens: number;
  /** Bytes of a body that is JSON. */
  readonly bodyBytes: number;
  /** Time that a request may take. */
  readonly timeoutMs: number;
}

/** A model that is served. */
export interface Service {
  /** What clients call the model. */
  readonly name: string;
  /** When it was started, in seconds since 1970. */
  readonly created: number;
  readonly decoder: Decoder;
  readonly vocabulary: Vocabulary;
  readonly engine: Engine;
  readonly memories: MemoryStore;
  readonly admission: Admission;
  readonly metrics: Metrics;
  readonly limits: Limits;
}

/** A request on its way to a handler. */
export interface Call {
  readonly request: Request;
  /** The part of the path that names something. */
  readonly id: string;
  readonly url: URL;
  /** Ends the work: the client left, the time is over, or the server stops. */
  readonly signal: AbortSignal;
  /** Says that the client left. */
  readonly leave: () => void;
}

/** What a handler gives; a stream goes on after it was answered. */
export interface Answer {
  readonly response: Response;
  /** Resolves at the end of a stream. */
  readonly ended?: Promise<void>;
}

/** Checks that a text fits into what attention holds. @throws {ApiError} if it does not. */
export function checkRoom({ decoder: { model: { maxLength } } }: Service, before: number, tokens: number): void {
  if (before + tokens <= maxLength) return;
  throw new ApiError(
    400,
    `This model's attention holds ${maxLength} tokens, and the request comes to ${before + tokens}: ask for less`,
    { param: "prompt", code: "context_length_exceeded" },
  );
}

/** Uses a state and frees it; that of the beginning belongs to the decoder. */
export async function withState<T>(
  { decoder }: Service,
  state: DecodeState,
  use: (state: DecodeState) => Promise<T>,
): Promise<T> {
  try {
    return await use(state);
  } finally {
    if (state !== decoder.start) state.dispose();
  }
}

/** Which texts a reader takes through its rows together: groups of contexts, and chunks of their continuations. */
import type { Model } from "../models/model.ts";
import type { ScoreRequest } from "./scorer.ts";

/** What a plan depends on. */
export interface ReadingPlanOptions {
  /** Bounds the tokens and the lengths of texts. */
  readonly model: Model;
  /** Rows, B. */
  readonly batch: number;
  /** Tokens of a piece, P. */
  readonly piece: number;
  /** The token that an empty context stands for. */
  readonly begin: number;
}

/** A group of contexts that are read together, and what is read after them. */
export interface ReadingPlan {
  /** At most B, each a row. */
  readonly contexts: readonly ReadContext[];
  /** The continuations of all of them, at most B at once. */
  readonly chunks: readonly (readonly Fork[])[];
}

/** A context in a row. */
export interface ReadContext {
  /** Its tokens. */
  readonly tokens: Int32Array;
  /** Whole pieces before its last token. */
  readonly pieces: number;
}

/** A continuation with the rest of its context. */
export interface Fork {
  /** Of which request, and which of its continuations. */
  readonly request: number;
  readonly choice: number;
  /** The row of its context. */
  readonly row: number;
  /** Whether the rest is the whole context, so that its row is at the beginning of a text. */
  readonly atStart: boolean;
  /** Tokens of the context after its whole pieces, at least one. */
  readonly rest: number;
  readonly continuation: ArrayLike<number>;
  /** Tokens that are read: all of the rest and the continuation but its last token. */
  readonly length: number;
  /** Pieces that they take. */
  readonly pieces: number;
  /** Token i of the rest and the continuation. */
  token(i: number): number;
}

/** Tokens that a launch reads: at least `wanted`, in whole intervals, unless the model holds fewer. */
export function pieceOf({ interval, maxLength }: Model, wanted: number): number {
  const whole = interval * Math.ceil(wanted / interval);
  return Math.min(whole, maxLength === Infinity ? whole : interval * Math.max(1, Math.floor(maxLength / interval)));
}

/** Groups requests by length, so that rows are busy. @throws {RangeError} naming the first text that cannot be read. */
export function* planReading(
  requests: readonly ScoreRequest[],
  options: ReadingPlanOptions,
): Generator<ReadingPlan, void, void> {
  const { batch, piece, begin } = options;
  const contexts = requests.map((request): ReadContext => {
    checkRequest(request, options);
    const tokens = request.context.length === 0 ? Int32Array.of(begin) : Int32Array.from(request.context);
    return { tokens, pieces: Math.floor((tokens.length - 1) / piece) };
  });
  const order = [...requests.keys()].sort((a, b) => contexts[a].pieces - contexts[b].pieces);
  for (const group of chunksOf(order, batch)) {
    const forks = group.flatMap((request, row) => {
      const { tokens, pieces } = contexts[request], start = pieces * piece, rest = tokens.length - start;
      return requests[request].continuations.map((continuation, choice): Fork => ({
        request,
        choice,
        row,
        atStart: pieces === 0,
        rest,
        continuation,
        length: rest + continuation.length - 1,
        pieces: Math.ceil((rest + continuation.length - 1) / piece),
        token: (i) => i < rest ? tokens[start + i] : continuation[i - rest],
      }));
    });
    forks.sort((a, b) => a.pieces - b.pieces);
    yield { contexts: group.map((request) => contexts[request]), chunks: [...chunksOf(forks, batch)] };
  }
}

function checkRequest({ context, continuations }: ScoreRequest, { model }: ReadingPlanOptions): void {
  const { maxLength, config: { vocabulary } } = model, length = Math.max(1, context.length);
  for (const tokens of [context, ...continuations]) {
    for (let i = 0; i < tokens.length; i++) {
      if (Number.isInteger(tokens[i]) && tokens[i] >= 0 && tokens[i] < vocabulary) continue;
      throw new RangeError(`Cannot read token ${tokens[i]}: tokens of this model go from 0 to ${vocabulary - 1}`);
    }
  }
  for (const continuation of continuations) {
    if (continuation.length === 0) throw new RangeError("Cannot score an empty continuation: give at least one token");
    const tokens = length + continuation.length - 1;
    if (tokens > maxLength) {
      throw new RangeError(
        `Cannot read a text of ${tokens} tokens: this model's attention holds ${maxLength}; give it a larger maxLength, or a window`,
      );
    }
  }
}

function* chunksOf<T>(items: readonly T[], size: number): Generator<readonly T[], void, void> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
}

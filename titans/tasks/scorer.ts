/** What tasks ask of a model of tokens, whatever it is: how likely texts are after others. */

/** A context, and what may follow it. */
export interface ScoreRequest {
  /** Token ids that are read first; an empty context is the beginning of a text. */
  readonly context: ArrayLike<number>;
  /** Token ids of each continuation, at least one. */
  readonly continuations: readonly ArrayLike<number>[];
}

/** How likely a continuation is. */
export interface ContinuationScore {
  /** ln p of the continuation after its context, the sum of `each`. */
  readonly logLikelihood: number;
  /** ln p of each of its tokens after all before it. */
  readonly each: Float32Array;
  /** The most likely token in place of each. */
  readonly best: Int32Array;
  /** Whether each of its tokens is the most likely one, so that greedy decoding would write it. */
  readonly greedy: boolean;
}

/** A model that says how likely texts are. */
export interface Scorer {
  /**
   * Scores continuations of contexts.
   * @param progress Is called with how many further requests are done.
   * @returns For each request the scores of its continuations, in their order.
   */
  score(
    requests: readonly ScoreRequest[],
    progress?: (requests: number) => void,
  ): Promise<readonly (readonly ContinuationScore[])[]>;
}

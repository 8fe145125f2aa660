/** Byte n-grams as a scorer: what a model of text is compared with. */
import type { NgramModel } from "../text/ngram.ts";
import type { ContinuationScore, Scorer, ScoreRequest } from "./scorer.ts";

/** Scores texts in bytes by an n-gram model. */
export function ngramScorer(model: NgramModel): Scorer {
  const scoreOf = (context: ArrayLike<number>, continuation: ArrayLike<number>): ContinuationScore => {
    const text = [...Array.from(context), ...Array.from(continuation)], each = new Float32Array(continuation.length);
    let logLikelihood = 0, greedy = true;
    for (let i = 0; i < continuation.length; i++) {
      const at = context.length + i, value = Math.log(model.probability(text, at));
      each[i] = value;
      logLikelihood += value;
      greedy &&= model.mostLikely(text.slice(Math.max(0, at - model.order), at)) === continuation[i];
    }
    return { logLikelihood, each, greedy };
  };
  return {
    score: (requests: readonly ScoreRequest[], progress) => {
      const scores = requests.map(({ context, continuations }) => {
        // What is further back than the longest context has no part in it.
        const near = Array.prototype.slice.call(context, Math.max(0, context.length - model.order)) as number[];
        return continuations.map((continuation) => scoreOf(near, continuation));
      });
      progress?.(requests.length);
      return Promise.resolve(scores);
    },
  };
}

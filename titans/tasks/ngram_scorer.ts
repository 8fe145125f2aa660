/** Byte n-grams as a scorer: what a model of text is compared with. */
import type { NgramModel } from "../text/ngram.ts";
import type { ContinuationScore, Scorer, ScoreRequest } from "./scorer.ts";

/** Scores texts in bytes by an n-gram model. */
export function ngramScorer(model: NgramModel): Scorer {
  // Contexts of a text come again and again, and finding the most likely byte takes all 256.
  const mostLikely = new Map<string, number>();
  const after = (context: readonly number[]): number => {
    const key = context.join(), known = mostLikely.get(key) ?? model.mostLikely(context);
    mostLikely.set(key, known);
    return known;
  };
  const scoreOf = (context: ArrayLike<number>, continuation: ArrayLike<number>): ContinuationScore => {
    const text = [...Array.from(context), ...Array.from(continuation)], each = new Float32Array(continuation.length);
    const best = new Int32Array(continuation.length);
    let logLikelihood = 0;
    for (let i = 0; i < continuation.length; i++) {
      const at = context.length + i, value = Math.log(model.probability(text, at));
      each[i] = value;
      logLikelihood += value;
      best[i] = after(text.slice(Math.max(0, at - model.order), at));
    }
    return { logLikelihood, each, best, greedy: best.every((byte, i) => byte === continuation[i]) };
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

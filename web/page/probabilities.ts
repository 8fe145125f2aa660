/** Predictions as probabilities. */

/** The probabilities that logits stand for. */
export function softmax(logits: Float32Array): Float32Array {
  const top = logits.reduce((most, logit) => Math.max(most, logit), -Infinity);
  const exponentials = logits.map((logit) => Math.exp(logit - top));
  const total = exponentials.reduce((sum, value) => sum + value, 0);
  return exponentials.map((value) => value / total);
}

/** The likeliest bytes, from first to last. */
export function likeliestBytes(probabilities: Float32Array, count: number): number[] {
  return [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]).slice(0, count);
}

/**
 * Logistic regression on sparse features, in closed precision: the floor of classifiers. Of two classes it has one
 * logit, of C classes C.
 *
 *     minimise  sum_i -ln p(label_i | x_i)  +  1/2 |W|^2          the bias is not penalised
 *
 * by L-BFGS (Liu and Nocedal, 1989) with a line search that halves.
 */

/** A sample: which features are not zero, and what they are. */
export interface SparseSample {
  readonly features: ArrayLike<number>;
  readonly values: ArrayLike<number>;
}

/** What is fitted. */
export interface LogisticProblem {
  readonly samples: readonly SparseSample[];
  /** Of the samples. */
  readonly labels: ArrayLike<number>;
  /** How many features there are. */
  readonly features: number;
  readonly classes: number;
}

const MEMORY = 10, MOST_STEPS = 500, TOLERANCE = 1e-7;

/** A fitted regression. */
export class LogisticRegression {
  readonly #weights: Float64Array;
  readonly #logits: number;
  readonly #width: number;

  private constructor({ features, classes }: LogisticProblem) {
    this.#logits = classes === 2 ? 1 : classes;
    this.#width = features + 1;
    this.#weights = new Float64Array(this.#logits * this.#width);
  }

  /** Fits it. */
  static fit(problem: LogisticProblem): LogisticRegression {
    const model = new LogisticRegression(problem);
    minimise(model.#weights, (gradient) => model.#loss(problem, gradient));
    return model;
  }

  /** The most likely class. */
  predict(sample: SparseSample): number {
    const logits = this.logits(sample);
    if (logits.length === 1) return logits[0] > 0 ? 1 : 0;
    return logits.indexOf(Math.max(...logits));
  }

  /** The logits; of two classes that of the second one. */
  logits({ features, values }: SparseSample): number[] {
    const weights = this.#weights, width = this.#width;
    return Array.from({ length: this.#logits }, (_, k) => {
      const at = k * width;
      let score = weights[at + width - 1];
      for (let j = 0; j < features.length; j++) score += weights[at + features[j]] * values[j];
      return score;
    });
  }

  /** The objective; writes its gradient. */
  #loss({ samples, labels }: LogisticProblem, gradient: Float64Array): number {
    const weights = this.#weights, width = this.#width, K = this.#logits;
    let loss = 0;
    gradient.fill(0);
    for (let i = 0; i < samples.length; i++) {
      const { features, values } = samples[i], scores = this.logits(samples[i]), label = labels[i];
      // With one logit the other class has the logit 0.
      const most = Math.max(K === 1 ? 0 : -Infinity, ...scores);
      const total = scores.reduce((sum, score) => sum + Math.exp(score - most), K === 1 ? Math.exp(-most) : 0);
      loss += most + Math.log(total) - (K === 1 ? (label === 1 ? scores[0] : 0) : scores[label]);
      for (let k = 0; k < K; k++) {
        const at = k * width, wanted = K === 1 ? label : label === k ? 1 : 0;
        const error = Math.exp(scores[k] - most) / total - wanted;
        for (let j = 0; j < features.length; j++) gradient[at + features[j]] += error * values[j];
        gradient[at + width - 1] += error;
      }
    }
    for (let i = 0; i < weights.length; i++) {
      if (i % width === width - 1) continue;
      loss += weights[i] * weights[i] / 2;
      gradient[i] += weights[i];
    }
    return loss;
  }
}

/** Minimises a function of `x`, in place. @param evaluate The function at `x`; writes its gradient. */
function minimise(x: Float64Array, evaluate: (gradient: Float64Array) => number): void {
  const steps: Float64Array[] = [], changes: Float64Array[] = [];
  let gradient = new Float64Array(x.length), value = evaluate(gradient);
  const first = Math.sqrt(dot(gradient, gradient));
  for (let step = 0; step < MOST_STEPS; step++) {
    if (Math.sqrt(dot(gradient, gradient)) <= TOLERANCE * Math.max(1, first)) return;
    const direction = towards(gradient, steps, changes), slope = dot(direction, gradient), from = x.slice();
    const next = new Float64Array(x.length);
    let size = step === 0 ? 1 / first : 1;
    for (;; size /= 2) {
      for (let i = 0; i < x.length; i++) x[i] = from[i] + size * direction[i];
      const reached = evaluate(next);
      if (reached <= value + 1e-4 * size * slope) {
        value = reached;
        break;
      }
      // At the limit of precision nothing gets better.
      if (size < 1e-12) {
        x.set(from);
        return;
      }
    }
    const moved = x.map((value, i) => value - from[i]), change = next.map((value, i) => value - gradient[i]);
    if (dot(moved, change) > 0) {
      steps.push(moved);
      changes.push(change);
      if (steps.length > MEMORY) [steps, changes].forEach((list) => list.shift());
    }
    gradient = next;
  }
}

/** Where to go: minus the gradient, scaled by the curvature that the last steps showed. */
function towards(
  gradient: Float64Array,
  steps: readonly Float64Array[],
  changes: readonly Float64Array[],
): Float64Array {
  const q = gradient.map((value) => -value), shares: number[] = [];
  for (let i = steps.length - 1; i >= 0; i--) {
    const share = shares[i] = dot(steps[i], q) / dot(steps[i], changes[i]);
    for (let j = 0; j < q.length; j++) q[j] -= share * changes[i][j];
  }
  const last = steps.length - 1;
  const scale = last < 0 ? 1 : dot(steps[last], changes[last]) / dot(changes[last], changes[last]);
  for (let j = 0; j < q.length; j++) q[j] *= scale;
  for (let i = 0; i <= last; i++) {
    const back = shares[i] - dot(changes[i], q) / dot(steps[i], changes[i]);
    for (let j = 0; j < q.length; j++) q[j] += back * steps[i][j];
  }
  return q;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

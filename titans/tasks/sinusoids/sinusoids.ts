/**
 * Forecasting real-valued sequences: every channel is a sinusoid of its own frequency, phase and unit variance; the next
 * value of each is to be predicted from those so far. Nothing but the sequence says what the frequencies are.
 *
 *     x[t + 1] = 2 cos(w) x[t] - x[t - 1]             which three values determine
 */
import type { Tensor } from "../../../core/graph.ts";
import { spec } from "../../../core/trace.ts";
import { full, sliceAxis, square, sub, sum } from "../../../ops/mod.ts";
import type { OptionsOf, OptionTable } from "../../options/option_table.ts";
import type { BatchArrays } from "../../train/objective.ts";
import { fromSamples, type SampleRandom } from "../samples.ts";
import { defineTask, type Task, type TaskInstance } from "../task.ts";

/** Options of {@link sinusoids}. */
export const SINUSOID_OPTIONS = {
  channels: { kind: "integer", default: 2, min: 1, max: 256, help: "channels, each a sinusoid" },
  length: { kind: "integer", default: 64, min: 4, max: 2 ** 16, help: "tokens of a sequence" },
  slowest: {
    kind: "number",
    default: 0.2,
    min: 0,
    aboveMin: true,
    max: 3,
    help: "least frequency, in radians per step",
  },
  fastest: { kind: "number", default: 1.2, min: 0, aboveMin: true, max: 3, help: "greatest frequency" },
} as const satisfies OptionTable;

/** The fields of {@link sinusoids}. */
export interface SinusoidBatch extends Record<string, Tensor> {
  /** The values and the one after, f32 [B, T + 1, channels]. */
  readonly values: Tensor;
}

// A frequency can be known from the third value on.
const FREE = 2;

/** Regression on sinusoids; the variance of what is predicted, and so the loss of predicting zero, is 1. */
export const sinusoids: Task<typeof SINUSOID_OPTIONS, SinusoidBatch> = defineTask({
  name: "sinusoids",
  summary: "the next value of sinusoids, a regression",
  options: SINUSOID_OPTIONS,
  create: (options): TaskInstance<SinusoidBatch> => {
    const { channels: F, length } = options;
    return {
      requires: { features: F, outputs: F },
      length,
      fields: (length) => ({ values: spec([length + 1, F]) }),
      batches: fromSamples("sinusoids", (random) => sinusoidSample(options, random)),
      input: ({ values }) => ({ tokens: sliceAxis(values, 1, 0, values.shape[1] - 1) }),
      loss: (output, { values }) => {
        const [B, T] = output.shape, count = T - FREE;
        const error = sub(sliceAxis(output, 1, FREE, count), sliceAxis(values, 1, FREE + 1, count));
        return { sum: sum(square(error)), weight: full([], B * count * F) };
      },
      chance: { loss: 1 },
      oracle: ({ values }) => forecast(values as Float32Array, length, F),
    };
  },
});

function sinusoidSample(
  { channels: F, length, slowest, fastest }: OptionsOf<typeof SINUSOID_OPTIONS>,
  random: SampleRandom,
): BatchArrays<SinusoidBatch> {
  const values = new Float32Array((length + 1) * F);
  for (let f = 0; f < F; f++) {
    const frequency = slowest + (fastest - slowest) * random.uniform(), phase = 2 * Math.PI * random.uniform();
    for (let t = 0; t <= length; t++) values[t * F + f] = Math.SQRT2 * Math.cos(frequency * t + phase);
  }
  return { values };
}

/** The recurrence with 2 cos(w) fitted by least squares to the values so far. */
function forecast(values: Float32Array, length: number, F: number): Float32Array {
  const rows = values.length / ((length + 1) * F), outputs = new Float32Array(rows * length * F);
  for (let row = 0; row < rows; row++) {
    for (let f = 0; f < F; f++) {
      const x = (t: number): number => values[(row * (length + 1) + t) * F + f];
      let products = 0, squares = 0;
      for (let t = 2; t < length; t++) {
        products += x(t - 1) * (x(t) + x(t - 2));
        squares += x(t - 1) ** 2;
        outputs[(row * length + t) * F + f] = products / squares * x(t) - x(t - 1);
      }
    }
  }
  return outputs;
}

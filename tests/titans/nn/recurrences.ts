/** What tests of recurrences with a matrix for a state share: sizes, oracles, gradients, and the cores known from PyTorch. */
import { assert } from "@std/assert";
import { valueAndGrad } from "../../../core/grad.ts";
import { isTensor, type Tensor } from "../../../core/graph.ts";
import { mapLeaves } from "../../../core/tree.ts";
import { add, concat, mean, mul, sliceAxis, square, sub, sum, swapAxes } from "../../../ops/mod.ts";
import type { RecurrenceResult } from "../../../titans/nn/linear_recurrence.ts";
import { randn } from "../../golden_layers.ts";
import { GOLDENS } from "../golden_baselines.ts";
import { noise, norm, reference, relativeError, type Value } from "../runners.ts";

/** Texts, heads, and the widths of keys and values. */
export const B = 2, H = 2, K = 6, V = 5;

/** What a recurrence takes. Axis 2 of every row is time. */
export interface Given<Rows> {
  readonly rows: Rows;
  readonly state: Tensor;
}

/** A recurrence, in whatever form. */
export type Form<Inputs> = (inputs: Inputs) => RecurrenceResult;

/** The same over pieces of its tokens, each with the state of the one before. */
export function inPieces<Rows extends { readonly query: Tensor }>(
  form: Form<Given<Rows>>,
  pieces: (length: number) => readonly (readonly [start: number, count: number])[],
): Form<Given<Rows>> {
  return ({ rows, state }) => {
    const outputs = pieces(rows.query.shape[2]).map(([start, count]) => {
      const piece = mapLeaves(rows, isTensor, (x) => sliceAxis(x, 2, start, count)) as Rows;
      const result = form({ rows: piece, state });
      state = result.state;
      return result.output;
    });
    return { output: concat(outputs, 2), state };
  };
}

/** One token after the other: with a form of one token, the oracle. */
export function tokenByToken<Rows extends { readonly query: Tensor }>(step: Form<Given<Rows>>): Form<Given<Rows>> {
  return inPieces(step, (length) => Array.from({ length }, (_, t) => [t, 1] as const));
}

/** Outputs, state, and the gradient of a random functional of both. */
export function withGradient<Inputs>(form: Form<Inputs>) {
  return (given: Inputs, weights: readonly Tensor[]): RecurrenceResult & { readonly gradient: Inputs } => {
    const [[, result], gradient] = valueAndGrad((inputs: Inputs): [Tensor, RecurrenceResult] => {
      const result = form(inputs);
      return [add(sum(mul(result.output, weights[0])), sum(mul(result.state, weights[1]))), result];
    })(given);
    return { ...result, gradient: gradient as Inputs };
  };
}

/** The weights of that functional, for T tokens. */
export function weightsFor(T: number): Value[] {
  return [noise([B, H, T, V], 6), noise([B, H, K, V], 7)];
}

/** A recurrence of golden_baselines.txt: of queries, keys, values and logits [2, 2, 37, ..] by their names there. */
export type Core = (x: Record<string, Tensor>) => { readonly output: Tensor; readonly state: Tensor };

/** Checks cores by the names of their numbers: loss, outputs, norms of output, state and gradients. */
export async function checkCores(cores: Readonly<Record<string, Core>>): Promise<void> {
  const T = 37;
  const shapes = { q: [2, T, 2, 8], k: [2, T, 2, 8], v: [2, T, 2, 12], a: [2, T, 2], b: [2, T, 2], gk: [2, T, 2, 8] };
  const random = (shape: readonly number[], seed: number): Value => ({
    shape,
    data: randn(shape.reduce((a, b) => a * b), 1, seed),
  });
  const inputs = Object.fromEntries(Object.entries(shapes).map(([name, shape], i) => [name, random(shape, 1 + i)]));
  for (const [name, core] of Object.entries(cores)) {
    const golden = GOLDENS.get(name)!, names = Object.keys(golden.gradients);
    const fn = (x: Record<string, Tensor>, target: Tensor): Record<string, Tensor> => {
      const loss = (x: Record<string, Tensor>): [Tensor, { output: Tensor; state: Tensor }] => {
        const { output, state } = core(mapLeaves(x, isTensor, (t) => swapAxes(t, 1, 2)));
        const y = swapAxes(output, 1, 2);
        return [mean(square(sub(y, target))), { output: y, state }];
      };
      const [[value, { output, state }], gradient] = valueAndGrad(loss)(x);
      return { loss: value, output, state, ...gradient };
    };
    const given = Object.fromEntries(names.map((name) => [name, inputs[name]]));
    const result = await reference(fn, [given, random(shapes.v, 9)]);
    const actual: Record<string, number> = {
      loss: result.loss.data[0],
      norm: norm(result.output.data),
      state: norm(result.state.data),
      ...Object.fromEntries([445, 1335, 1775].map((i) => [`y[${i}]`, result.output.data[i]])),
      ...Object.fromEntries(names.map((name) => [name, norm(result[name].data)])),
    };
    const expected: Readonly<Record<string, number>> = { ...golden.figures, ...golden.gradients };
    for (const [figure, is] of Object.entries(actual)) {
      assert(figure in expected, `${name}: there is no number for ${figure}`);
      const error = relativeError([is], [expected[figure]]);
      assert(error < 1e-8, `${name}: ${figure} is ${is}, not ${expected[figure]}`);
    }
  }
}

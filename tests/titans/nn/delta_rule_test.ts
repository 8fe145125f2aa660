/**
 * The delta rule: numbers known from PyTorch in f64, tiles of every size against one token at a time, pieces against the
 * whole, and keys that repeat.
 */
import { assert, assertThrows } from "@std/assert";
import { valueAndGrad } from "../../../core/grad.ts";
import { isTensor, type Tensor } from "../../../core/graph.ts";
import { mapLeaves } from "../../../core/tree.ts";
import {
  add,
  concat,
  l2Normalize,
  mean,
  mul,
  neg,
  sigmoid,
  sliceAxis,
  softplus,
  square,
  sub,
  sum,
  swapAxes,
} from "../../../ops/mod.ts";
import { ConfigError } from "../../../titans/errors.ts";
import { deltaRule, deltaRuleStep } from "../../../titans/nn/delta_rule.ts";
import type { RecurrenceResult } from "../../../titans/nn/linear_recurrence.ts";
import { randn } from "../../golden_layers.ts";
import { GOLDENS } from "../golden_baselines.ts";
import {
  assertClose,
  noise,
  norm,
  reference,
  relativeError,
  type Runner,
  testOnDevices,
  type Value,
} from "../runners.ts";

const B = 2, H = 2, K = 6, V = 5;

/** What the delta rule takes, with rates and decays as logits. Axis 2 is time, but that of the state. */
interface Inputs<Leaf> {
  readonly rows: {
    readonly query: Leaf;
    readonly key: Leaf;
    readonly value: Leaf;
    readonly rate: Leaf;
    readonly logits?: Leaf;
  };
  readonly state: Leaf;
}

function inputs(isGated: boolean, T: number, scale = 1): Inputs<Value> {
  return {
    rows: {
      query: noise([B, H, T, K], 1),
      key: noise([B, H, T, K], 2),
      value: noise([B, H, T, V], 3),
      rate: noise([B, H, T], 8),
      ...(isGated && { logits: noise([B, H, T], 5, scale) }),
    },
    state: noise([B, H, K, V], 4),
  };
}

const logSigmoid = (x: Tensor): Tensor => neg(softplus(neg(x)));

/** Rows for the rule: keys of length 1, rates up to 2, decays. */
function prepared({ logits, key, rate, ...rows }: Inputs<Tensor>["rows"]) {
  return [
    { ...rows, key: l2Normalize(key), rate: mul(sigmoid(rate), 2) },
    logits ? logSigmoid(logits) : undefined,
  ] as const;
}

const tiled = (tile?: number) => ({ rows, state }: Inputs<Tensor>): RecurrenceResult => {
  const [given, decay] = prepared(rows);
  return deltaRule(given, { state, decay, tile });
};

/** One token after the other: the oracle. */
function tokenByToken({ rows, state }: Inputs<Tensor>): RecurrenceResult {
  const outputs = Array.from({ length: rows.query.shape[2] }, (_, t) => {
    const [token, decay] = prepared(mapLeaves(rows, isTensor, (x) => sliceAxis(x, 2, t, 1)));
    const next = deltaRuleStep(token, { state, decay });
    state = next.state;
    return next.output;
  });
  return { output: concat(outputs, 2), state };
}

/** Outputs, state, and the gradient of a random functional of both. */
function withGradient(form: (inputs: Inputs<Tensor>) => RecurrenceResult) {
  return (given: Inputs<Tensor>, weights: readonly Tensor[]): RecurrenceResult & { gradient: Inputs<Tensor> } => {
    const [[, result], gradient] = valueAndGrad((inputs: Inputs<Tensor>): [Tensor, RecurrenceResult] => {
      const result = form(inputs);
      return [add(sum(mul(result.output, weights[0])), sum(mul(result.state, weights[1]))), result];
    })(given);
    return { ...result, gradient };
  };
}

const weightsFor = (T: number): Value[] => [noise([B, H, T, V], 6), noise([B, H, K, V], 7)];

for (const [name, isGated] of [["delta rule", false], ["gated delta rule", true]] as const) {
  Deno.test(`${name}: tiles of every size give what single tokens give, gradients too`, async () => {
    for (const T of [1, 2, 17, 45]) {
      const given = [inputs(isGated, T, 3), weightsFor(T)] as const;
      const expected = await reference(withGradient(tokenByToken), given as never);
      for (const tile of T === 1 ? [64] : [1, 8, 20, 64]) {
        assertClose(await reference(withGradient(tiled(tile)), given as never), expected, 1e-8);
      }
    }
  });

  Deno.test(`${name}: pieces with a carried state give the whole`, async () => {
    const given = inputs(isGated, 45);
    const inPieces = ({ rows, state }: Inputs<Tensor>): RecurrenceResult => {
      const outputs = [[0, 7], [7, 1], [8, 37]].map(([start, count]) => {
        const piece = mapLeaves(rows, isTensor, (x) => sliceAxis(x, 2, start, count));
        const result = tiled(16)({ rows: piece, state });
        state = result.state;
        return result.output;
      });
      return { output: concat(outputs, 2), state };
    };
    assertClose(await reference(inPieces, [given]), await reference(tiled(16), [given]), 1e-8);
  });
}

Deno.test("delta rule: with decays of 1 the gated rule is the plain one", async () => {
  const given = inputs(false, 45);
  const undecayed = ({ rows, state }: Inputs<Tensor>): RecurrenceResult => {
    const [given] = prepared(rows);
    return deltaRule(given, { state, decay: mul(given.rate, 0), tile: 16 });
  };
  assertClose(await reference(undecayed, [given]), await reference(tiled(16), [given]), 1e-12);
});

Deno.test("delta rule: numbers of the cores known from PyTorch", async () => {
  const T = 37, shapes = { q: [2, T, 2, 8], k: [2, T, 2, 8], v: [2, T, 2, 12], a: [2, T, 2], b: [2, T, 2] };
  const given = Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => [name, {
      shape,
      data: randn(shape.reduce((a, b) => a * b), 1, 1 + i),
    }]),
  ) as Record<string, Value>;
  const target: Value = { shape: shapes.v, data: randn(2 * T * 2 * 12, 1, 9) };
  for (const name of ["core delta", "core gated delta"]) {
    const golden = GOLDENS.get(name)!, names = Object.keys(golden.gradients);
    const fn = (x: Record<string, Tensor>, target: Tensor): Record<string, Tensor> => {
      const loss = (x: Record<string, Tensor>): [Tensor, RecurrenceResult] => {
        const { q, k, v, a, b } = mapLeaves(x, isTensor, (t) => swapAxes(t, 1, 2));
        const { output, state } = deltaRule(
          { query: l2Normalize(q), key: l2Normalize(k), value: v, rate: sigmoid(b) },
          { decay: a && logSigmoid(a), tile: 16 },
        );
        const y = swapAxes(output, 1, 2);
        return [mean(square(sub(y, target))), { output: y, state }];
      };
      const [[value, { output, state }], gradient] = valueAndGrad(loss)(x);
      return { loss: value, output, state, ...gradient };
    };
    const result = await reference(fn, [Object.fromEntries(names.map((name) => [name, given[name]])), target]);
    const actual: Record<string, number> = {
      loss: result.loss.data[0],
      norm: norm(result.output.data),
      state: norm(result.state.data),
      ...Object.fromEntries([445, 1335, 1775].map((i) => [`y[${i}]`, result.output.data[i]])),
      ...Object.fromEntries(names.map((name) => [name, norm(result[name].data)])),
    };
    for (const [figure, expected] of Object.entries({ ...golden.figures, ...golden.gradients })) {
      if (!(figure in actual)) continue;
      const error = relativeError([actual[figure]], [expected]);
      assert(error < 1e-8, `${name}: ${figure} is ${actual[figure]}, not ${expected}`);
    }
  }
});

/** 128 tokens in tiles of 64, all of rate 1 and with one key: the last value written is what is read. */
async function checkEqualKeys(run: Runner): Promise<void> {
  const T = 128, key = noise([1, 1, 1, K], 9);
  const repeated: Value = { shape: [1, 1, T, K], data: Array.from({ length: T * K }, (_, i) => key.data[i % K]) };
  const value = noise([1, 1, T, V], 3), ones: Value = { shape: [1, 1, T], data: new Array<number>(T).fill(1) };
  const fn = (key: Tensor, value: Tensor, rate: Tensor): { output: Tensor; dKey: Tensor } => {
    const [[, output], [dKey]] = valueAndGrad((key: Tensor, value: Tensor): [Tensor, Tensor] => {
      const unit = l2Normalize(key, { epsilon: 0 });
      const { output } = deltaRule({ query: unit, key: unit, value, rate });
      return [sum(square(output)), output];
    }, { argnums: [0, 1] })(key, value);
    return { output, dKey };
  };
  const { output, dKey } = await run(fn, [repeated, value, ones]);
  const error = relativeError(output.data, value.data);
  assert(error < 2e-6, `equal keys: what was written last is read with an error of ${error}`);
  assert(Array.from(dKey.data).every(Number.isFinite), "equal keys: the gradient is not finite");
}

testOnDevices(
  "the delta rule gives the numbers of the reference in f32, and keeps its digits where keys repeat",
  async ({ run }) => {
    // Large logits: decays down to e^-50, and next to them some of nearly 1.
    const T = 150, both = { plain: inputs(false, T), gated: inputs(true, T, 20) };
    const fn = (both: Record<"plain" | "gated", Inputs<Tensor>>, weights: readonly Tensor[]): unknown => ({
      plain: withGradient(tiled())(both.plain, weights),
      gated: withGradient(tiled())(both.gated, weights),
    });
    const args = [both, weightsFor(T)] as never;
    assertClose(await run(fn as never, args), await reference(fn as never, args), 1e-4);
    await checkEqualKeys(run);
  },
);

Deno.test("delta rule: a tile that is no number of tokens is refused", () => {
  const trace = (tile: number) => reference(tiled(tile), [inputs(false, 4)]);
  for (const tile of [0, 1.5]) {
    assertThrows(() => trace(tile), ConfigError, `Cannot use tile ${tile} of the delta rule`);
  }
});

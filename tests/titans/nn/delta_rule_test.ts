/**
 * The delta rule: numbers known from PyTorch in f64, tiles of every size against one token at a time, pieces against the
 * whole, and keys that repeat.
 */
import { assert, assertThrows } from "@std/assert";
import { valueAndGrad } from "../../../core/grad.ts";
import type { Tensor } from "../../../core/graph.ts";
import { l2Normalize, logSigmoid, mul, sigmoid, square, sum } from "../../../ops/mod.ts";
import { ConfigError } from "../../../titans/errors.ts";
import { deltaRule, deltaRuleStep } from "../../../titans/nn/delta_rule.ts";
import type { RecurrenceResult } from "../../../titans/nn/linear_recurrence.ts";
import { assertClose, noise, reference, relativeError, type Runner, testOnDevices, type Value } from "../runners.ts";
import { B, checkCores, type Core, H, inPieces, K, tokenByToken, V, weightsFor, withGradient } from "./recurrences.ts";

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
const oracle = tokenByToken(({ rows, state }: Inputs<Tensor>): RecurrenceResult => {
  const [token, decay] = prepared(rows);
  return deltaRuleStep(token, { state, decay });
});

for (const [name, isGated] of [["delta rule", false], ["gated delta rule", true]] as const) {
  Deno.test(`${name}: tiles of every size give what single tokens give, gradients too`, async () => {
    for (const T of [1, 2, 17, 45]) {
      const given = [inputs(isGated, T, 3), weightsFor(T)] as const;
      const expected = await reference(withGradient(oracle), given as never);
      for (const tile of T === 1 ? [64] : [1, 8, 20, 64]) {
        assertClose(await reference(withGradient(tiled(tile)), given as never), expected, 1e-8);
      }
    }
  });

  Deno.test(`${name}: pieces with a carried state give the whole`, async () => {
    const given = inputs(isGated, 45);
    const pieces = inPieces(tiled(16), () => [[0, 7], [7, 1], [8, 37]]);
    assertClose(await reference(pieces, [given]), await reference(tiled(16), [given]), 1e-8);
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

Deno.test("delta rule: numbers of the cores known from PyTorch", () => {
  const core: Core = ({ q, k, v, a, b }) =>
    deltaRule(
      { query: l2Normalize(q), key: l2Normalize(k), value: v, rate: sigmoid(b) },
      { decay: a && logSigmoid(a), tile: 16 },
    );
  return checkCores({ "core delta": core, "core gated delta": core });
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

import { assert, assertEquals } from "@std/assert";
import { valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { spec } from "../../core/trace.ts";
import { compile, requestDevice } from "../../kernels/mod.ts";
import {
  concat,
  expandDims,
  greater,
  iota,
  lessEqual,
  logicalAnd,
  matmul,
  mul,
  ones,
  rotaryEmbedding,
  softmax,
  sub,
  sum,
  swapAxes,
  where,
} from "../../ops/mod.ts";
import {
  advanceWindow,
  type AttentionRows,
  type KeysAndValues,
  windowAttention,
  type WindowState,
} from "../../titans/nn/attention.ts";
import { assertClose, noise, reference, relativeError, testOnDevices, type Value } from "./runners.ts";

const B = 2, H = 2, K = 4, P = 3;

interface Inputs<Leaf> {
  readonly rows: { readonly query: Leaf; readonly key: Leaf; readonly value: Leaf };
  readonly state: { readonly key: Leaf; readonly value: Leaf; readonly filled: Leaf };
  readonly persistent?: { readonly key: Leaf; readonly value: Leaf };
}

/** Rows of T tokens after a window of W, of which the last `filled` hold a token. */
function inputsFor(T: number, W: number, { filled = W, persistent = true } = {}): Inputs<Value> {
  const rows = (n: number, seed: number): Value => noise([B, H, n, K], seed);
  return {
    rows: { query: rows(T, 1), key: rows(T, 2), value: rows(T, 3) },
    state: {
      key: rows(W, 4),
      value: rows(W, 5),
      filled: { shape: [B, W], data: Float64Array.from({ length: B * W }, (_, i) => Number(i % W >= W - filled)) },
    },
    ...(persistent ? { persistent: { key: rows(P, 6), value: rows(P, 7) } } : {}),
  };
}

/** The same in the obvious way: all scores [T, W + T], positions from the first row of the state. */
function plainAttention(
  { query, key, value }: AttentionRows,
  { state, persistent }: { state: WindowState; persistent?: KeysAndValues },
): Tensor {
  const T = query.shape[2], W = state.key.shape[2];
  const keys = rotaryEmbedding(concat([state.key, key], 2)), values = concat([state.value, value], 2);
  const distance = sub(iota([T, W + T], 1), iota([T, W + T], 0));
  const held = concat([state.filled, ones([B, T])], 1);
  const visible = logicalAnd(
    logicalAnd(greater(distance, 0), lessEqual(distance, W)),
    greater(expandDims(expandDims(held, 1), 1), 0.5),
  );
  const scores = where(
    visible,
    mul(matmul(rotaryEmbedding(query, { offset: W }), swapAxes(keys, -1, -2)), 1 / Math.sqrt(K)),
    -1e30,
  );
  if (!persistent) return matmul(softmax(scores), values);
  const always = mul(matmul(query, swapAxes(persistent.key, -1, -2)), 1 / Math.sqrt(K));
  return matmul(softmax(concat([always, scores], -1)), concat([persistent.value, values], 2));
}

/** Output, and the gradient of a random functional of it with respect to every input. */
function evaluated(attend: typeof windowAttention): (inputs: Inputs<Tensor>, weights: Tensor) => unknown {
  return (inputs, weights) => {
    const [[, output], gradient] = valueAndGrad((arg: Inputs<Tensor>): [Tensor, Tensor] => {
      const { rows, state, persistent } = arg, y = attend(rows, { state, persistent });
      return [sum(mul(y, weights)), y];
    })(inputs);
    const { rows, state: { key, value }, persistent } = gradient;
    return { output, rows, key, value, ...(persistent ? { persistent } : {}) };
  };
}

Deno.test("attention in blocks equals all scores under a mask, gradients too, for any length and window", async () => {
  for (const [T, W] of [[1, 1], [1, 5], [4, 5], [5, 5], [6, 5], [10, 5], [17, 5], [7, 1], [3, 8]]) {
    for (const options of [{}, { filled: 0 }, { filled: W - 1, persistent: false }]) {
      const inputs = inputsFor(T, W, options), weights = noise([B, H, T, K], 8);
      const expected = await reference(evaluated(plainAttention), [inputs, weights]);
      assertClose(await reference(evaluated(windowAttention), [inputs, weights]), expected, 1e-10);
    }
  }
});

testOnDevices("attention in blocks equals all scores under a mask, gradients too", async ({ run }) => {
  const inputs = inputsFor(17, 5, { filled: 2 }), weights = noise([B, H, 17, K], 8);
  const expected = await reference(evaluated(plainAttention), [inputs, weights]);
  assertClose(await run(evaluated(windowAttention), [inputs, weights]), expected, 1e-4);
});

Deno.test("a token sees exactly the window, and persistent tokens from everywhere", async () => {
  const T = 13, W = 4, at = 6;
  const run = async (inputs: Inputs<Value>): Promise<Float64Array> =>
    Float64Array.from(
      (await reference(
        (arg: Inputs<Tensor>) => windowAttention(arg.rows, { state: arg.state, persistent: arg.persistent }),
        [inputs],
      )).data,
    )
      .slice(0, T * K);
  const inputs = inputsFor(T, W, { filled: 0 });
  const before = await run(inputs);
  const moved = (value: Value, row: number): Value => ({
    ...value,
    data: Float64Array.from(value.data, (x, i) => (Math.floor(i / K) === row ? x + 1 : x)),
  });
  const token = await run({
    ...inputs,
    rows: { ...inputs.rows, key: moved(inputs.rows.key, at), value: moved(inputs.rows.value, at) },
  });
  const persistent = await run({
    ...inputs,
    persistent: { ...inputs.persistent!, value: moved(inputs.persistent!.value, 0) },
  });
  for (let t = 0; t < T; t++) {
    const row = (data: Float64Array): number[] => Array.from(data.subarray(t * K, (t + 1) * K));
    if (t >= at && t < at + W) {
      assert(relativeError(row(token), row(before)) > 1e-6, `row ${t} does not see token ${at}`);
    } else assertEquals(row(token), row(before), `row ${t} sees token ${at}`);
    assert(relativeError(row(persistent), row(before)) > 1e-6, `row ${t} does not see the persistent tokens`);
  }
});

Deno.test("rows attended in pieces with a carried window equal all rows at once, wherever cut", async () => {
  const T = 13, W = 4, inputs = inputsFor(T, W, { filled: 1 });
  const part = ({ shape: [B, H, T, K], data }: Value, start: number, end: number): Value => ({
    shape: [B, H, end - start, K],
    data: Float64Array.from(data).filter((_, i) => Math.floor(i / K) % T >= start && Math.floor(i / K) % T < end),
  });
  const attend = ({ rows, state, persistent }: Inputs<Tensor>): { output: Tensor; next: WindowState } => ({
    output: windowAttention(rows, { state, persistent }),
    next: advanceWindow(state, rows, rows.key.shape[2]),
  });
  const whole = await reference(attend, [inputs]);
  for (let at = 1; at < T; at++) {
    const cut = (start: number, end: number): Inputs<Value>["rows"] => ({
      query: part(inputs.rows.query, start, end),
      key: part(inputs.rows.key, start, end),
      value: part(inputs.rows.value, start, end),
    });
    const first = await reference(attend, [{ ...inputs, rows: cut(0, at) }]);
    const second = await reference(attend, [{ ...inputs, rows: cut(at, T), state: first.next }]);
    assert(relativeError(first.output.data, part(whole.output, 0, at).data) < 1e-12, `up to ${at}`);
    assert(relativeError(second.output.data, part(whole.output, at, T).data) < 1e-12, `from ${at}`);
    assertClose(second.next, whole.next, 0);
  }
});

Deno.test("memory grows with the length, not with its square", async () => {
  const device = await requestDevice({ kind: "cpu" });
  const peak = async (T: number): Promise<number> => {
    const rows = spec([1, 1, T, 8]), past = spec([1, 1, 16, 8]);
    const attend = (query: Tensor, key: Tensor, value: Tensor, state: WindowState): Tensor =>
      windowAttention({ query, key, value }, { state });
    const program = await compile(device, attend, [rows, rows, rows, {
      key: past,
      value: past,
      filled: spec([1, 16]),
    }]);
    const { peakBytes } = program;
    program.dispose();
    return peakBytes;
  };
  const short = await peak(512), long = await peak(2048);
  assert(long < 4.2 * short, `${short} bytes for 512 tokens, ${long} for 2,048`);
  device.dispose();
});

import { assert } from "@std/assert";
import { jit, requestDevice, type Tensor, valueAndGrad } from "../../../mod.ts";
import { add, cast, crossEntropy, mean, mul, square, sub } from "../../../ops/mod.ts";
import * as nn from "../../../titans/nn/mod.ts";

/** Steps of gradient descent with momentum. */
async function train<P>(
  parameters: P,
  loss: (params: unknown, x: Tensor, y: Tensor) => Tensor,
  batch: (step: number) => [Int32Array | number[][][], number[][], readonly number[]],
  { steps, rate }: { steps: number; rate: number },
): Promise<number[]> {
  const layout = nn.layoutOf(parameters), losses: number[] = [];
  using device = await requestDevice({ kind: "cpu" });
  using step = jit(device, (flat: Tensor, velocity: Tensor, x: Tensor, y: Tensor) => {
    const [value, gradient] = valueAndGrad((flat: Tensor) => loss(layout.unflatten(flat), x, y))(flat);
    const next = sub(mul(velocity, 0.9), mul(gradient, rate));
    return { value, flat: add(flat, next), velocity: next };
  });
  let flat: never = layout.pack(layout.initialize(1)) as never,
    velocity: never = new Float32Array(layout.size) as never;
  for (let i = 0; i < steps; i++) {
    const [x, y, shape] = batch(i);
    const given = x instanceof Int32Array ? { data: x, shape, dtype: "i32" } as never : x;
    const result = await step(flat, velocity, given, y);
    losses.push(result.value.item());
    flat = result.flat as never;
    velocity = result.velocity as never;
  }
  return losses;
}

/** The mean. */
function over(part: readonly number[]): number {
  return part.reduce((a, b) => a + b) / part.length;
}

/** Bits that look random, of a step. */
function bits(step: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => (Math.imul(step * 101 + i + 1, 2654435761) >>> 13) & 1);
}

Deno.test("nn: a GRU learns to count ones, an output layer reads the count", async () => {
  const cell = nn.gru(1, 12), out = nn.linear(12, 1);
  const losses = await train(
    { cell: cell.parameters, out: out.parameters },
    (params, x, y) => {
      const { cell: c, out: o } = params as { cell: nn.GruParameters<Tensor>; out: nn.LinearParameters<Tensor> };
      return mean(square(sub(out.apply(o, cell.apply(c, x).state), y)));
    },
    (step) => {
      const rows = Array.from({ length: 16 }, (_, b) => bits(16 * step + b, 6));
      return [rows.map((row) => row.map((bit) => [bit])), rows.map((row) => [row.reduce((a, b) => a + b) / 3 - 1]), []];
    },
    { steps: 250, rate: 0.03 },
  );
  assert(over(losses.slice(-20)) < 0.02, `${over(losses.slice(-20))}`);
  assert(over(losses.slice(0, 5)) > 0.1, `${over(losses.slice(0, 5))}`);
});

Deno.test("nn: embedding, norm, attention and mlp learn to say the token before", async () => {
  const tokens = nn.embedding(2, 8), norm = nn.layerNorm(8), out = nn.linear(8, 2);
  const attention = nn.multiHeadAttention(8, { heads: 2, causal: true, rotary: true }), mlp = nn.mlp(8, 16);
  const parameters = {
    tokens: tokens.parameters,
    norm: norm.parameters,
    attention: attention.parameters,
    mlp: mlp.parameters,
    out: out.parameters,
  };
  const losses = await train(
    parameters,
    (params, x, y) => {
      // deno-lint-ignore no-explicit-any -- a tree of five layers' parameters
      const p = params as any;
      const h = tokens.apply(p.tokens, x), seen = add(h, attention.apply(p.attention, norm.apply(p.norm, h)));
      return mean(crossEntropy(out.apply(p.out, add(seen, mlp.apply(p.mlp, seen))), cast(y, "i32")));
    },
    (step) => {
      const rows = Array.from({ length: 16 }, (_, b) => bits(16 * step + b, 6));
      return [Int32Array.from(rows.flat()), rows.map((row) => [0, ...row.slice(0, -1)]), [16, 6]];
    },
    { steps: 250, rate: 0.02 },
  );
  assert(over(losses.slice(-20)) < 0.2, `${losses.filter((_, i) => i % 25 === 0)}`);
});

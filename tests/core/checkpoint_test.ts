import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { checkpoint } from "../../core/checkpoint.ts";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { scan } from "../../core/scan.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import { compile, type Device, requestDevice } from "../../mod.ts";
import {
  add,
  gather,
  gelu,
  layerNorm,
  matmul,
  mean,
  mul,
  softmax,
  square,
  sum,
  swapAxes,
  tanh,
} from "../../ops/mod.ts";
import { array, evaluate, wave } from "../evaluate.ts";
import { assertClose, toHost, TOLERANCES } from "../numeric.ts";

type Block = (x: Tensor, w: Tensor) => Tensor;

const block: Block = (x, w) => tanh(matmul(tanh(matmul(x, w)), w));

/** Some blocks, one after another. */
function model(count: number, wrap: (fn: Block) => Block): (x: Tensor, w: Tensor) => Tensor {
  return (x, w) => {
    let y = x;
    for (let i = 0; i < count; i++) y = wrap(block)(y, w);
    return sum(square(y));
  };
}

const plain = (fn: Block): Block => fn;

/** First and second derivatives. */
function derivatives(fn: (x: Tensor, w: Tensor) => Tensor): (x: Tensor, w: Tensor) => unknown {
  const first = grad(fn, { argnums: [0, 1] });
  const slope = (x: Tensor, w: Tensor): Tensor => sum(mul(first(x, w)[1], w));
  return (x, w) => [fn(x, w), first(x, w), grad(slope, { argnums: [0, 1] })(x, w)];
}

function productsOf(fn: (x: Tensor, w: Tensor) => unknown): number {
  const { graph } = trace(fn, [spec([4, 3]), spec([3, 3])]);
  return simplify(graph).nodes.filter(({ op }) => op.kind === "contract").length;
}

Deno.test("checkpoint: values and gradients to second order are those of the function", () => {
  const inputs = [wave([4, 3], 1), wave([3, 3], 2, 0.7)];
  const expected = evaluate(derivatives(model(3, plain)), inputs);
  evaluate(derivatives(model(3, checkpoint)), inputs).forEach((values, n) =>
    values.forEach((value, i) => assertAlmostEquals(value, expected[n][i], 1e-12))
  );
});

Deno.test("checkpoint: the gradient computes the function again, and the value alone does not", () => {
  // Of each block two products forward, four backward, and the first or both once more.
  assertEquals(productsOf(model(2, checkpoint)), productsOf(model(2, plain)));
  assertEquals(productsOf(grad(model(2, plain), { argnums: [0, 1] })), 12);
  assertEquals(productsOf(grad(model(2, checkpoint), { argnums: [0, 1] })), 16);
});

Deno.test("checkpoint: tensors from outside, integers, records, other values, one tensor twice", () => {
  const inputs = [wave([5, 3], 1), array([4], [4, 0, 0, 2], "i32")];
  const loss =
    (wrap: <A extends readonly unknown[], R>(fn: (...args: A) => R) => (...args: A) => R) =>
    (table: Tensor, at: Tensor): Tensor => {
      const outside = mul(table, 0.5);
      const fn = wrap(({ a, b }: { a: Tensor; b: Tensor }, at: Tensor, power: number) => {
        const rows = gather(add(mul(a, b), outside), at);
        return { rows: power === 2 ? mul(rows, rows) : rows, at, a };
      });
      const { rows, at: same, a } = fn({ a: table, b: table }, at, 2);
      return add(sum(gather(rows, same)), sum(tanh(a)));
    };
  assertEquals(evaluate(grad(loss(checkpoint)), inputs), evaluate(grad(loss((fn) => fn)), inputs));
});

Deno.test("checkpoint: in the body of a scan and around one", () => {
  const rolled = (wrap: (fn: Block) => Block) => (x: Tensor, w: Tensor): Tensor => {
    const body = (h: Tensor): [Tensor, Tensor] => [wrap(block)(h, w), sum(h)];
    const whole = wrap((x, _w) => {
      const [last, sums] = scan(body, x, undefined, { length: 3 });
      return add(last, sum(sums));
    });
    return sum(square(whole(x, w)));
  };
  const inputs = [wave([4, 3], 1), wave([3, 3], 2, 0.7)];
  const expected = evaluate(derivatives(rolled(plain)), inputs);
  evaluate(derivatives(rolled(checkpoint)), inputs).forEach((values, n) =>
    values.forEach((value, i) => assertAlmostEquals(value, expected[n][i], 1e-9))
  );
});

type Layer = { q: Tensor; a: Tensor; b: Tensor };

/** Attention and an MLP around a residual stream. */
function transformerBlock(x: Tensor, { q, a, b }: Layer): Tensor {
  const query = matmul(x, q);
  const y = add(x, matmul(softmax(matmul(query, swapAxes(x, -1, -2))), x));
  return add(y, matmul(gelu(matmul(layerNorm(y), a)), b));
}

/** Gradients of four blocks, their values and the memory that they take. */
async function gradientsOf(device: Device, fn: typeof transformerBlock): Promise<{ values: number[]; bytes: number }> {
  const D = 16, count = 4, layer = { q: spec([D, D]), a: spec([D, 4 * D]), b: spec([4 * D, D]) };
  const loss = (layers: Layer[], x: Tensor): Tensor => mean(square(layers.reduce((y, layer) => fn(y, layer), x)));
  using program = await compile(device, grad(loss), [Array.from({ length: count }, () => layer), spec([2, 32, D])]);
  const leaf = ({ shape }: { shape: readonly number[] }, phase: number) => toHost(wave(shape, phase, 0.2));
  const layers = Array.from({ length: count }, (_, i) => ({
    q: leaf(layer.q, i),
    a: leaf(layer.a, i + 0.3),
    b: leaf(layer.b, i + 0.6),
  }));
  const results = await program.run(layers, toHost(wave([2, 32, D], 9)));
  return { values: results.flatMap(({ q, a, b }) => [...q.data, ...a.data, ...b.data]), bytes: program.peakBytes };
}

for (const kind of ["reference", "cpu", "webgpu"] as const) {
  Deno.test(`checkpoint on ${kind}: the same gradients in less memory`, async () => {
    using device = await requestDevice({ kind });
    const kept = await gradientsOf(device, transformerBlock);
    const again = await gradientsOf(device, checkpoint(transformerBlock));
    assertClose(again.values, kept.values, TOLERANCES.accumulation.f32, "gradients", [kept.values.length]);
    // Of parameters and gradients there are 74 KiB; the rest is what shrinks.
    if (kind !== "reference") assert(again.bytes < 0.6 * kept.bytes, `${again.bytes} of ${kept.bytes} bytes`);
  });
}

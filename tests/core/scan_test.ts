import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import type { NdArray } from "../../core/op.ts";
import { isLoop, type ScanAttrs } from "../../core/loop.ts";
import { scan, type ScanOptions } from "../../core/scan.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import { add, constant, matmul, mul, reshape, stack, sum, tanh, transpose } from "../../ops/mod.ts";
import { evaluate, scalar, vector, wave } from "../evaluate.ts";

Deno.test("scan carries a state and stacks ys, in both directions", () => {
  const running = (options: ScanOptions) => (xs: Tensor): unknown =>
    scan((c: Tensor, x: Tensor): [Tensor, Tensor] => [add(c, x), mul(add(c, x), 10)], sum(mul(xs, 0)), xs, options);
  assertEquals(evaluate(running({}), [vector(1, 2, 3)]), [[6], [10, 30, 60]]);
  assertEquals(evaluate(running({ reverse: true }), [vector(1, 2, 3)]), [[6], [60, 50, 30]]);
});

Deno.test("scan without xs or ys repeats a step", () => {
  const power = (x: Tensor): Tensor =>
    scan((c: Tensor): [Tensor, undefined] => [mul(c, x), undefined], x, undefined, { length: 4 })[0];
  assertEquals(evaluate(power, [scalar(2)]), [[32]]);
  assertEquals(evaluate(grad(power), [scalar(2)]), [[80]]);
  assertEquals(evaluate(grad(grad(power)), [scalar(2)]), [[160]]);
});

/** A small recurrent network: h = tanh(h w + x u); sum of all h plus the last one squared. */
function network(options: ScanOptions): (w: Tensor, u: Tensor, h0: Tensor, xs: Tensor) => Tensor {
  return (w, u, h0, xs) => {
    const [h, ys] = scan(
      (h: Tensor, x: Tensor): [Tensor, Tensor] => {
        const next = tanh(add(matmul(h, w), matmul(x, u)));
        return [next, next];
      },
      h0,
      xs,
      options,
    );
    return add(sum(ys), sum(mul(h, h)));
  };
}

/** The same network with the loop written out. */
function unrolled(w: Tensor, u: Tensor, h0: Tensor, xs: Tensor, order: readonly number[]): Tensor {
  let h = h0;
  const hs = order.map((i) => h = tanh(add(matmul(h, w), matmul(pick(xs, i), u))));
  return add(sum(stack(hs, 0)), sum(mul(h, h)));
}

function networkInputs(): NdArray[] {
  return [wave([3, 3], 1, 0.7), wave([2, 3], 2, 0.7), wave([1, 3], 3), wave([4, 1, 2], 4)];
}

/** Row i of xs by a one-hot product, so that this oracle does not rely on slice's own gradient. */
function pick(xs: Tensor, i: number): Tensor {
  const count = xs.shape[0];
  const oneHot = constant(Float32Array.from({ length: count }, (_, j) => (i === j ? 1 : 0)), [1, count]);
  return matmul(oneHot, reshape(xs, [count, 2]));
}

for (const reverse of [false, true]) {
  for (const rematerialize of ["auto", "recompute", "save"] as const) {
    Deno.test(`gradients through scan equal those of the unrolled loop: reverse ${reverse}, rematerialize ${rematerialize}`, () => {
      const order = reverse ? [3, 2, 1, 0] : [0, 1, 2, 3];
      const rolled = network({ reverse, rematerialize });
      const plain = (w: Tensor, u: Tensor, h0: Tensor, xs: Tensor): Tensor => unrolled(w, u, h0, xs, order);
      const argnums = [0, 1, 2, 3] as const;
      const first = evaluate(grad(rolled, { argnums }), networkInputs());
      closeTo(first, evaluate(grad(plain, { argnums }), networkInputs()));
      const energy = (f: typeof rolled) => (...args: [Tensor, Tensor, Tensor, Tensor]): Tensor =>
        (grad(f, { argnums })(...args) as Tensor[]).map((g) => sum(mul(g, mul(g, g)))).reduce((a, b) => add(a, b));
      closeTo(
        evaluate(grad(energy(rolled), { argnums }), networkInputs()),
        evaluate(grad(energy(plain), { argnums }), networkInputs()),
      );
    });
  }
}

function closeTo(actual: number[][], expected: number[][]): void {
  assertEquals(actual.length, expected.length);
  actual.forEach((values, n) =>
    values.forEach((value, i) =>
      assertAlmostEquals(value, expected[n][i], 1e-9 * Math.max(1, Math.abs(expected[n][i])))
    )
  );
}

Deno.test("simplify prunes a loop's unused histories, ys, carries and inputs", () => {
  const fn = (a: Tensor, b: Tensor, xs: Tensor): Tensor => {
    const [{ p }] = scan(
      (
        { p, q }: { p: Tensor; q: Tensor },
        x: Tensor,
      ): [{ p: Tensor; q: Tensor }, Tensor] => [{ p: mul(p, add(a, 1)), q: add(q, x) }, mul(q, b)],
      { p: a, q: b },
      xs,
    );
    return p;
  };
  const { graph } = trace(fn, [spec([]), spec([]), spec([5])]);
  const simplified = simplify(graph);
  const loop = simplified.nodes.find(isLoop)!;
  const attrs = loop.attrs as ScanAttrs;
  assertEquals([attrs.carryCount, attrs.xsCount, attrs.history.length, loop.inputs.length, loop.outputs.length], [
    1,
    0,
    0,
    2,
    1,
  ]);
});

Deno.test("a gradient through scan keeps one forward loop", () => {
  const { graph } = trace(grad(network({})), [spec([3, 3]), spec([2, 3]), spec([1, 3]), spec([4, 1, 2])]);
  assertEquals(simplify(graph).nodes.filter(isLoop).length, 2);
});

for (const rematerialize of ["auto", "recompute", "save"] as const) {
  Deno.test(`nested scans differentiate twice: rematerialize ${rematerialize}`, () => {
    const f = (x: Tensor, ys: Tensor): Tensor => {
      const inner = (c: Tensor, y: Tensor): Tensor =>
        scan((d: Tensor, z: Tensor): [Tensor, undefined] => [mul(add(d, z), matmul(x, x)), undefined], c, y, {
          rematerialize,
        })[0];
      return sum(
        scan((c: Tensor, y: Tensor): [Tensor, Tensor] => [inner(tanh(matmul(c, x)), y), c], x, ys, {
          rematerialize,
        })[0],
      );
    };
    // With 1x1 matrices this is a function of one number.
    const value = (x: number, ys: number[][]): number =>
      ys.reduce((c, y) => y.reduce((d, z) => (d + z) * x * x, Math.tanh(c * x)), x);
    const ys = [[0.3, -0.2], [0.5, 0.1]], h = 1e-4;
    const at = (k: number): number => value(1.1 + k * h, ys);
    const inputs = [wave([1, 1], 0, 0), {
      shape: [2, 2, 1, 1],
      dtype: "f32" as const,
      data: Float64Array.from(ys.flat()),
    }];
    inputs[0].data[0] = 1.1;
    const first = (x: Tensor, y: Tensor): Tensor => sum(grad(f)(x, y));
    const [[slope], [curvature]] = evaluate((x: Tensor, y: Tensor) => [first(x, y), grad(first)(x, y)], inputs);
    assertAlmostEquals(slope, (at(1) - at(-1)) / (2 * h), 1e-6);
    assertAlmostEquals(curvature, (at(1) - 2 * at(0) + at(-1)) / (h * h), 1e-5);
  });
}

Deno.test("a loop that saves runs each matrix product and inner loop once", () => {
  const f = (x: Tensor, ys: Tensor): Tensor =>
    sum(
      scan(
        (
          c: Tensor,
          y: Tensor,
        ): [Tensor, undefined] => [
          scan((d: Tensor, z: Tensor): [Tensor, undefined] => [mul(tanh(matmul(d, x)), z), undefined], c, y)[0],
          undefined,
        ],
        x,
        ys,
        {
          rematerialize: "save",
        },
      )[0],
    );
  const { graph } = trace(grad(f), [spec([3, 3]), spec([4, 5])]);
  const loops = simplify(graph).nodes.filter(isLoop).map((node) =>
    (node.attrs as ScanAttrs).body.nodes.filter(isLoop).length
  );
  assertEquals(loops, [1, 1]);
});

/** What a loop saves for its gradient: the shapes, in the body's order. */
function savedShapes(
  body: (c: Tensor, x: Tensor) => [Tensor, Tensor],
  carry: readonly number[],
  options: ScanOptions,
): (readonly number[])[] {
  const { graph } = trace((c: Tensor, xs: Tensor) => scan(body, c, xs, options), [spec(carry), spec([5, 4, 4])]);
  const { body: { outputs }, savedCount } = graph.nodes.find(isLoop)!.attrs as ScanAttrs;
  return outputs.slice(outputs.length - savedCount).map(({ shape }) => shape);
}

Deno.test("an automatic rematerialize saves the longest products first, as much as the loop keeps anyway", () => {
  // Products of sums over 4, 10 and 4, results of 40, 16 and 64 elements.
  const body = (c: Tensor, x: Tensor): [Tensor, Tensor] => {
    const long = constant(new Float32Array(4 * 10), [4, 10]);
    const wide = tanh(matmul(x, long));
    const back = tanh(matmul(wide, transpose(long)));
    const large = tanh(matmul(back, constant(new Float32Array(4 * 16), [4, 16])));
    return [add(c, sum(large)), back];
  };
  // Kept anyway: carry, x and y of 16 elements each; the third product does not fit.
  assertEquals(savedShapes(body, [4, 4], {}), [[4, 4]]);
  assertEquals(savedShapes(body, [4, 4], { rematerialize: "auto" }), [[4, 4]]);
  // 24 elements more: the first of the two shorter sums fits too.
  assertEquals(savedShapes(body, [10, 4], {}), [[4, 10], [4, 4]]);
  assertEquals(savedShapes(body, [22, 4], {}), [[4, 10], [4, 4], [4, 16]]);
  assertEquals(savedShapes(body, [4, 4], { rematerialize: "recompute" }), []);
  assertEquals(savedShapes(body, [4, 4], { rematerialize: "save" }), [[4, 10], [4, 4], [4, 16]]);
  // An inner loop's results are recomputed, however small.
  const nested = (
    c: Tensor,
    x: Tensor,
  ): [Tensor, Tensor] => [scan((d: Tensor, row: Tensor): [Tensor, undefined] => [add(d, row), undefined], c, x)[0], x];
  assertEquals([savedShapes(nested, [4], {}), savedShapes(nested, [4], { rematerialize: "save" }).length > 0], [
    [],
    true,
  ]);
});

Deno.test("misuse of scan is told", () => {
  assertThrows(
    () =>
      evaluate(
        (x: Tensor) =>
          scan((c: Tensor): [Tensor, undefined] => [stack([c, c], 0), undefined], x, undefined, { length: 2 }),
        [scalar(1)],
      ),
    TypeError,
    "must keep its type",
  );
  assertThrows(
    () =>
      evaluate((x: Tensor, y: Tensor) => scan((c: Tensor): [Tensor, undefined] => [c, undefined], x, [x, y]), [
        vector(1, 2),
        vector(1),
      ]),
    TypeError,
    "leading extents",
  );
  let leaked: Tensor | undefined;
  assertThrows(
    () =>
      evaluate((x: Tensor) => {
        scan((c: Tensor): [Tensor, undefined] => [leaked = add(c, 1), undefined], x, undefined, { length: 2 });
        return add(leaked!, 1);
      }, [scalar(1)]),
    Error,
    "inside a scan body that has ended",
  );
});

import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { customVjp } from "../../core/custom_vjp.ts";
import { CompileError, DTypeError, ShapeError } from "../../core/errors.ts";
import { grad, valueAndGrad, vjp } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { scan } from "../../core/scan.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import { add, cast, cos, exp, gather, log, matmul, maximum, minimum, mul, sigmoid, sin, sum } from "../../ops/mod.ts";
import { array, evaluate, scalar, vector, wave } from "../evaluate.ts";

/** `a b` with its gradient written out, scaled by a factor that is no tensor. */
const product = customVjp((a: Tensor, b: Tensor, factor: number) => mul(mul(a, b), factor), {
  forward: (a, b, factor) => [mul(mul(a, b), factor), { a, b, factor }],
  backward: ({ a, b, factor }, g) => [mul(mul(g, b), factor), mul(mul(g, a), factor), undefined],
});

Deno.test("customVjp: the value is the function's, the gradient the rule's", () => {
  const straightThrough = customVjp((x: Tensor) => cast(cast(x, "i32"), "f32"), {
    forward: (x) => [mul(x, 99), undefined],
    backward: (_residuals, g) => [mul(g, 3)],
  });
  const results = evaluate(valueAndGrad((x: Tensor) => sum(mul(straightThrough(x), x))), [vector(1.5, -2.5)]);
  assertEquals(results, [[1 * 1.5 + -2 * -2.5], [1 + 3 * 1.5, -2 + 3 * -2.5]]);
});

Deno.test("customVjp: a formula that is exact where the ops' own gradient is not", () => {
  const softplus = customVjp((x: Tensor) => log(add(exp(x), 1)), {
    forward: (x) => [log(add(exp(x), 1)), x],
    backward: (x, g) => [mul(g, sigmoid(x))],
  });
  assertEquals(evaluate(grad((x: Tensor) => sum(softplus(x))), [vector(0, 1000)]), [[0.5, 1]]);
});

Deno.test("customVjp: gradients of gradients go through the rule and what it keeps", () => {
  const cube = (x: Tensor): Tensor => sum(product(product(x, x, 1), x, 2));
  assertEquals(evaluate(grad(cube), [vector(1, 3)]), [[6, 54]]);
  assertEquals(evaluate(grad((x: Tensor) => sum(grad(cube)(x))), [vector(1, 3)]), [[12, 36]]);
  assertEquals(evaluate(grad(grad(grad(cube))), [scalar(5)]), [[12]]);
});

Deno.test("customVjp: rules may call each other, as sine and cosine do", () => {
  const sine: (x: Tensor) => Tensor = customVjp((x: Tensor) => sin(x), {
    forward: (x) => [sin(x), x],
    backward: (x, g) => [mul(g, cosine(x))],
  });
  const cosine: (x: Tensor) => Tensor = customVjp((x: Tensor) => cos(x), {
    forward: (x) => [cos(x), x],
    backward: (x, g) => [mul(mul(g, sine(x)), -1)],
  });
  const values = [sine, grad(sine), grad(grad(sine)), grad(grad(grad(sine)))].map((fn) => evaluate(fn, [scalar(0.7)]));
  [Math.sin, Math.cos, (x: number) => -Math.sin(x), (x: number) => -Math.cos(x)].forEach((fn, i) =>
    assertAlmostEquals(values[i][0][0], fn(0.7), 1e-12)
  );
});

Deno.test("customVjp: trees of arguments and results, all cotangents at once", () => {
  type Pair = { p: Tensor; q: Tensor };
  const seen: boolean[] = [];
  const swap = customVjp(({ p, q }: Pair, index: Tensor) => ({ p: q, q: p, index }), {
    forward: ({ p, q }, index) => [{ p: q, q: p, index }, [p.shape.length]],
    backward: ([rank], g) => {
      seen.push(rank === 1, g.index.dtype === "i32");
      return [{ p: minimum(g.q, 1), q: maximum(g.p, 5) }, undefined];
    },
  });
  const index = array([1], [1], "i32");
  const loss = (x: Pair, i: Tensor): Tensor => {
    const out = swap(x, i);
    return add(sum(mul(out.p, 3)), sum(gather(mul(out.q, 7), out.index)));
  };
  const gradient = evaluate((p: Tensor, q: Tensor, i: Tensor) => {
    const { p: dp, q: dq } = grad(loss)({ p, q }, i);
    return [dp, dq];
  }, [vector(1, 2), vector(3, 4), index]);
  assertEquals(gradient, [[0, 1], [5, 5]]);
  assertEquals(seen, [true, true]);
  // Of a result that nothing reaches the cotangent is zero.
  const partial = evaluate(grad((x: Tensor, y: Tensor) => sum(swap({ p: x, q: y }, cast(x, "i32")).q)), [
    vector(2),
    vector(3),
  ]);
  assertEquals(partial, [[1]]);
});

for (const rematerialize of ["auto", "recompute", "save"] as const) {
  Deno.test(`customVjp: in the body of a scan, to second order: ${rematerialize}`, () => {
    const square = (w: Tensor, h: Tensor): Tensor => matmul(matmul(h, w), w);
    const byHand = customVjp(square, {
      forward: (w, h) => [square(w, h), { w, h }],
      backward: ({ w, h }, g) => {
        const [, pull] = vjp(({ w, h }: { w: Tensor; h: Tensor }) => square(w, h), { w, h });
        const { w: dw, h: dh } = pull(g);
        return [dw, dh];
      },
    });
    const loss = (cell: typeof square) => (w: Tensor, h: Tensor): Tensor => {
      const [last, all] = scan(
        (h: Tensor): [Tensor, Tensor] => {
          const next = sin(cell(w, h));
          return [next, next];
        },
        h,
        undefined,
        { length: 3, rematerialize },
      );
      return add(sum(last), sum(mul(all, all)));
    };
    const both = (cell: typeof square) => (w: Tensor, h: Tensor): unknown => {
      const first = grad(loss(cell), { argnums: [0, 1] });
      return [first(w, h), grad((w: Tensor, h: Tensor) => sum(mul(first(w, h)[0], w)), { argnums: [0, 1] })(w, h)];
    };
    const inputs = [wave([3, 3], 1, 0.6), wave([2, 3], 2)], expected = evaluate(both(square), inputs);
    evaluate(both(byHand), inputs).forEach((values, n) =>
      values.forEach((value, i) => assertAlmostEquals(value, expected[n][i], 1e-9))
    );
  });
}

Deno.test("customVjp: nothing of it is left where nothing is differentiated", () => {
  const { graph } = trace((a: Tensor, b: Tensor) => product(a, b, 2), [spec([2]), spec([2])]);
  assertEquals(simplify(graph).nodes.map(({ op }) => op.name).filter((name) => name !== "full"), ["mul", "mul"]);
});

/** Differentiates `sum(customVjp(2 x, rule))` in x, f32[2, 3]. */
function differentiate(forward: (x: Tensor) => unknown, backward: (...args: Tensor[]) => unknown): void {
  // deno-lint-ignore no-explicit-any -- rules that the types would refuse
  const rule = { forward, backward } as any;
  const double = (x: Tensor): Tensor => mul(x, 2);
  trace(grad((x: Tensor) => sum(customVjp(double, rule)(x) as Tensor)), [spec([2, 3])]);
}

Deno.test("customVjp: what does not fit is one line that names it", () => {
  const twice = (x: Tensor): unknown => [mul(x, 2), x];
  const fails = (kind: new (message: string) => Error, text: string, fn: () => void) =>
    assertEquals(assertThrows(fn, kind).message, text);
  const on = "Cannot differentiate customVjp of double:";
  fails(
    ShapeError,
    `${on} the cotangent of argument 0 is f32[] and the argument is f32[2, 3]`,
    () => differentiate(twice, (_x, g) => [sum(g)]),
  );
  fails(
    DTypeError,
    `${on} the cotangent of argument 0 is i32[2, 3] and the argument is f32[2, 3]`,
    () => differentiate(twice, (_x, g) => [cast(g, "i32")]),
  );
  fails(
    CompileError,
    `${on} the cotangent of argument 0 is nested otherwise than the argument`,
    () => differentiate(twice, (_x, g) => [[g]]),
  );
  fails(
    CompileError,
    `${on} its backward must return a list of one cotangent for each of 1 arguments, returned 2 entries`,
    () => differentiate(twice, (_x, g) => [g, g]),
  );
  fails(
    CompileError,
    `${on} its backward must return a list of one cotangent for each of 1 arguments, returned no list`,
    () => differentiate(twice, (_x, g) => g),
  );
  fails(
    CompileError,
    "Cannot call customVjp of double: its forward must return [result, residuals]",
    () => differentiate((x) => mul(x, 2), (_x, g) => [g]),
  );
  fails(
    ShapeError,
    "Cannot call customVjp of double: the result of its forward is f32[] and that of fn is f32[2, 3]",
    () => differentiate((x) => [sum(x), x], (_x, g) => [g]),
  );
  const counted = customVjp((x: Tensor, n: number) => mul(x, n), {
    forward: (x, n) => [mul(x, n), n],
    // deno-lint-ignore no-explicit-any -- a rule that the types would refuse
    backward: (_n, g) => [g, g as any],
  });
  fails(
    DTypeError,
    "Cannot differentiate customVjp: argument 1 is no tensor and has no cotangent; its backward must return undefined for it",
    () => trace(grad((x: Tensor) => sum(counted(x, 2))), [spec([2])]),
  );
});

Deno.test("customVjp: a differentiated tensor from outside is refused, another one is not", () => {
  const scaled = (w: Tensor, x: Tensor): Tensor => {
    const by = customVjp((x: Tensor) => mul(x, sin(w)), {
      forward: (x) => [mul(x, sin(w)), x],
      backward: (_x, g) => [mul(g, sin(w))],
    });
    return sum(by(x));
  };
  const error = assertThrows(() => trace(grad(scaled), [spec([2]), spec([2])]), CompileError);
  assertEquals(
    error.message,
    "Cannot differentiate customVjp in f32[2]: the function takes it from outside, and its backward returns cotangents of arguments only; pass it as one",
  );
  assertEquals(evaluate(grad(scaled, { argnums: 1 }), [vector(0, Math.PI / 2), vector(1, 2)]), [[0, 1]]);
  // The same tensor as an argument and from outside: each path is known for what it is.
  assertThrows(() => trace(grad((w: Tensor) => scaled(w, w)), [spec([2])]), CompileError, "from outside");
});

/**
 * Gradients of gradients where other frameworks go wrong: what an inner gradient does not differentiate still carries
 * the outer one.
 */
import { grad, valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import * as ops from "../../ops/mod.ts";
import { array, assertClose, build, random } from "../numeric.ts";
import { directionalDifference, directionOf, dot, evaluate } from "../op_suites/evaluate.ts";

const TIGHT = { relative: 1e-12, absolute: 1e-12 };
const scalars = (...values: number[]) => values.map((value) => array([], [value]));

Deno.test("nested grad: f = (w k)^2, the derivative in k of df/dw at w = 3, k = 2 is 24, by argument", () => {
  const f = (w: Tensor, k: Tensor) => ops.square(ops.mul(w, k));
  const [result] = evaluate(grad((k: Tensor, w: Tensor) => grad(f)(w, k)), scalars(2, 3), "argument form");
  assertClose(result.data, [24], TIGHT, "d2f/dw dk");
});

Deno.test("nested grad: f = (w k)^2, the derivative in k of df/dw at w = 3, k = 2 is 24, by closure", () => {
  const slope = (k: Tensor, w: Tensor) => grad((w: Tensor) => ops.square(ops.mul(w, k)))(w);
  const [result] = evaluate(grad(slope), scalars(2, 3), "closure form");
  assertClose(result.data, [24], TIGHT, "d2f/dw dk");
});

Deno.test("nested grad: both forms at once, and the value beside the gradient", () => {
  const f = (w: Tensor, k: Tensor) => ops.square(ops.mul(w, k));
  const outer = (k: Tensor, w: Tensor) => {
    const [value, slope] = valueAndGrad((w: Tensor, j: Tensor) => ops.mul(f(w, j), k))(w, k);
    return ops.add(value, slope);
  };
  // value w^2 k^3 = 72 and slope 2 w k^3 = 48: derivatives in k 3 w^2 k^2 = 108 and 6 w k^2 = 72.
  const [result] = evaluate(grad(outer), scalars(2, 3), "mixed form");
  assertClose(result.data, [180], TIGHT, "derivative");
});

/** The functions whose gradients use their own outputs, or that reduce. */
const FUNCTIONS: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  tanh: ops.tanh,
  sigmoid: ops.sigmoid,
  exp: ops.exp,
  sqrt: (x) => ops.sqrt(ops.add(ops.square(x), 1)),
  rsqrt: (x) => ops.rsqrt(ops.add(ops.square(x), 1)),
  div: (x) => ops.div(1, ops.add(x, 4)),
  pow: (x) => ops.pow(ops.add(ops.square(x), 1), ops.full([3, 5], 1.7)),
  softmax: (x) => ops.softmax(x),
  logSoftmax: (x) => ops.logSoftmax(x),
  max: (x) => ops.max(ops.square(x), { axes: 1, keepDims: true }),
  min: (x) => ops.min(ops.mul(x, ops.exp(x)), { axes: 1, keepDims: true }),
  logSumExp: (x) => ops.logSumExp(x),
  layerNorm: (x) => ops.layerNorm(x),
  l2Normalize: (x) => ops.l2Normalize(x),
  cumprod: (x) => ops.cumprod(x, { axis: 1 }),
  gelu: (x) => ops.gelu(x, { approximate: "none" }),
};

for (const [name, fn] of Object.entries(FUNCTIONS)) {
  Deno.test(`nested grad: second derivatives of ${name} when the input also enters another way`, () => {
    const x = random([3, 5], -2, 2, 4), v = directionOf(x, 3), u = directionOf(x, 5);
    const weights = ops.constant.bind(undefined, random([3, 5], 0.5, 1.5, 9).data, [3, 5]);
    const weighted = (y: Tensor, by: Tensor) =>
      ops.sum(ops.mul(ops.mul(ops.broadcastTo(y.rank === 1 ? ops.expandDims(y, 1) : y, [3, 5]), weights()), by));
    const slopes: Record<string, (x: Tensor) => Tensor> = {
      // The inner function sees x as its argument and by closure.
      closure: (x) =>
        ops.sum(ops.mul(grad((y: Tensor) => weighted(fn(y), ops.sin(x)))(x), ops.constant(v.data, v.shape))),
      // As two arguments, of which the inner gradient takes one.
      argument: (x) =>
        ops.sum(
          ops.mul(
            grad((y: Tensor, z: Tensor) => weighted(fn(ops.mul(y, z)), z))(x, ops.cos(x)),
            ops.constant(v.data, v.shape),
          ),
        ),
      // Beside itself in a product.
      product: (x) =>
        ops.sum(ops.mul(grad((y: Tensor) => weighted(fn(y), ops.mul(y, x)))(x), ops.constant(v.data, v.shape))),
    };
    for (const [form, slope] of Object.entries(slopes)) {
      const [result] = evaluate(grad(slope), [x], `${name}, ${form}`);
      const difference = directionalDifference(slope, [x], 0, u);
      assertClose([dot(result, u)], [difference], { relative: 1e-6, absolute: 1e-7 }, `${name}, ${form}`);
    }
  });
}

/** Derivatives of orders 1, 2, 3 and 4 in closed form. */
const CLOSED_FORMS: Readonly<
  Record<string, readonly [(x: Tensor) => Tensor, number, readonly ((x: number) => number)[]]>
> = {
  exp: [ops.exp, 0.7, [Math.exp, Math.exp, Math.exp, Math.exp]],
  sin: [ops.sin, 0.7, [Math.cos, (x) => -Math.sin(x), (x) => -Math.cos(x), Math.sin]],
  log: [ops.log, 1.3, [(x) => 1 / x, (x) => -1 / x ** 2, (x) => 2 / x ** 3, (x) => -6 / x ** 4]],
  sqrt: [ops.sqrt, 1.3, [
    (x) => 0.5 * x ** -0.5,
    (x) => -0.25 * x ** -1.5,
    (x) => 0.375 * x ** -2.5,
    (x) => -0.9375 * x ** -3.5,
  ]],
  rsqrt: [ops.rsqrt, 1.3, [
    (x) => -0.5 * x ** -1.5,
    (x) => 0.75 * x ** -2.5,
    (x) => -1.875 * x ** -3.5,
    (x) => 6.5625 * x ** -4.5,
  ]],
  reciprocal: [ops.reciprocal, 1.3, [(x) => -1 / x ** 2, (x) => 2 / x ** 3, (x) => -6 / x ** 4, (x) => 24 / x ** 5]],
  tanh: [ops.tanh, 0.4, tanhDerivatives()],
  sigmoid: [ops.sigmoid, 0.8, sigmoidDerivatives()],
  softplus: [ops.softplus, 0, [() => 0.5, () => 0.25, () => 0, () => -0.125]],
  pow: [(x) => ops.pow(x, ops.full([], 2.5)), 1.3, [
    (x) => 2.5 * x ** 1.5,
    (x) => 3.75 * x ** 0.5,
    (x) => 1.875 * x ** -0.5,
    (x) => -0.9375 * x ** -1.5,
  ]],
  cube: [(x) => ops.pow(x, 3), 0, [(x) => 3 * x * x, (x) => 6 * x, () => 6, () => 0]],
};

function tanhDerivatives(): ((x: number) => number)[] {
  const t = Math.tanh, s = (x: number) => 1 - t(x) ** 2;
  return [s, (x) => -2 * t(x) * s(x), (x) => s(x) * (6 * t(x) ** 2 - 2), (x) => s(x) * t(x) * (16 - 24 * t(x) ** 2)];
}

function sigmoidDerivatives(): ((x: number) => number)[] {
  const s = (x: number) => 1 / (1 + Math.exp(-x)), d = (x: number) => s(x) * (1 - s(x));
  return [
    d,
    (x) => d(x) * (1 - 2 * s(x)),
    (x) => d(x) * (1 - 6 * d(x)),
    (x) => d(x) * (1 - 2 * s(x)) * (1 - 12 * d(x)),
  ];
}

Deno.test("nested grad: derivatives up to the fourth order have their closed forms", () => {
  for (const [name, [fn, x, derivatives]] of Object.entries(CLOSED_FORMS)) {
    let current = fn;
    derivatives.forEach((expected, order) => {
      current = grad(current) as (x: Tensor) => Tensor;
      const [result] = evaluate(current, scalars(x), `${name} of order ${order + 1}`);
      assertClose(result.data, [expected(x)], { relative: 1e-11, absolute: 1e-11 }, `${name} of order ${order + 1}`);
    });
  }
});

Deno.test("nested grad: the Hessian of logSumExp is diag(p) - p p^T", () => {
  const x = random([5]);
  const weights = [...x.data].map(Math.exp),
    total = weights.reduce((sum, w) => sum + w, 0),
    p = weights.map((w) => w / total);
  const rows = Array.from({ length: 5 }, (_, i) => {
    const pick = (x: Tensor) => ops.sum(ops.sliceAxis(grad((y: Tensor) => ops.logSumExp(y))(x), 0, i, 1));
    return [...evaluate(grad(pick), [x], "row of the Hessian")[0].data];
  });
  assertClose(rows.flat(), build([5, 5], ([i, j]) => (i === j ? p[i] : 0) - p[i] * p[j]), TIGHT, "Hessian");
});

/** Properties of the ops on sequences: nothing looks ahead, pieces equal the whole. */
import { assert, assertEquals } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import type { NdArray } from "../../core/op.ts";
import * as ops from "../../ops/mod.ts";
import { array, assertClose, random } from "../numeric.ts";
import { evaluate } from "../op_suites/evaluate.ts";

const TIGHT = { relative: 1e-12, absolute: 1e-13 };
const run = (fn: (...args: Tensor[]) => Tensor, ...inputs: NdArray[]): NdArray => evaluate(fn, inputs, "sequence")[0];

/** `x` with everything from row `t` on (second to last axis) changed. */
function disturbed(x: NdArray, t: number): NdArray {
  const [T, D] = x.shape.slice(-2);
  return { ...x, data: x.data.map((value, i) => (Math.floor(i / D) % T >= t ? value + 1 : value)) };
}

function rowsBefore(x: NdArray, t: number): number[] {
  const [T, D] = x.shape.slice(-2);
  return [...x.data].filter((_, i) => Math.floor(i / D) % T < t);
}

Deno.test("attention: a later token changes nothing before it, to the bit", () => {
  const x = random([2, 3, 7, 4]);
  for (const options of [{ causal: true }, { causal: true, window: 3 }, { causal: true, segment: 4 }]) {
    const self = (x: Tensor) => ops.attention(x, x, x, options);
    for (const t of [1, 4, 6]) assertEquals(rowsBefore(run(self, disturbed(x, t)), t), rowsBefore(run(self, x), t));
  }
});

Deno.test("attention: a segment is attention by itself", () => {
  const x = random([1, 2, 6, 4]), part = (x: Tensor, i: number) => ops.sliceAxis(x, 2, 3 * i, 3);
  const whole = run((x) => ops.attention(x, x, x, { segment: 3, causal: true }), x);
  const parts = run(
    (x) => ops.concat([0, 1].map((i) => ops.attention(part(x, i), part(x, i), part(x, i), { causal: true })), 2),
    x,
  );
  assertClose(whole.data, parts.data, TIGHT, "segments");
});

Deno.test("attention: large scores and rows that see nothing give no NaN", () => {
  const x = array([1, 2, 1], [1e15, -1e15]);
  assert(run((x) => ops.attention(x, x, x, { causal: true, scale: 1 }), x).data.every(Number.isFinite));
  // Query 3 of 4 sees no key: the only one lies outside its window.
  const q = random([1, 4, 2]), k = random([1, 1, 2]);
  assert(run((q, k) => ops.attention(q, k, k, { causal: true, window: 2 }), q, k).data.every(Number.isFinite));
});

Deno.test("causalConv1d: pieces with the state carried equal the whole", () => {
  const x = random([2, 9, 3]), w = random([3, 4]);
  const whole = run((x, w) => ops.causalConv1d(x, w), x, w);
  for (const cut of [1, 2, 5, 8]) {
    const pieces = (x: Tensor, w: Tensor) => {
      const [before, after] = ops.split(x, [cut, 9 - cut], 1);
      const seen = ops.concat([ops.zeros([2, 3, 3]), before], 1);
      return ops.concat([
        ops.causalConv1d(before, w),
        ops.causalConv1d(after, w, { state: ops.sliceAxis(seen, 1, cut, 3) }),
      ], 1);
    };
    assertClose(run(pieces, x, w).data, whole.data, TIGHT, `cut at ${cut}`);
  }
});

Deno.test("rotaryEmbedding: keeps lengths, and products depend on distance only", () => {
  const q = random([1, 8]), k = random([1, 8], -1, 1, 2);
  const score = (from: number, to: number) =>
    run(
      (q, k) => ops.sum(ops.mul(ops.rotaryEmbedding(q, { offset: from }), ops.rotaryEmbedding(k, { offset: to }))),
      q,
      k,
    ).data;
  assertClose(score(7, 3), score(104, 100), { relative: 1e-9, absolute: 1e-9 }, "distance 4");
  const length = (x: Tensor) => ops.sum(ops.square(x));
  assertClose(run((q) => length(ops.rotaryEmbedding(q, { offset: 9 })), q).data, run(length, q).data, TIGHT, "length");
});

Deno.test("linearScan: pieces with the state carried equal the whole", () => {
  const a = random([9], 0, 1), b = random([9]);
  const whole = run((a, b) => ops.linearScan(a, b, { axis: 0 }), a, b);
  const pieces = (a: Tensor, b: Tensor) => {
    const [a1, a2] = ops.split(a, [4, 5], 0), [b1, b2] = ops.split(b, [4, 5], 0);
    const first = ops.linearScan(a1, b1, { axis: 0 }), state = ops.sliceAxis(first, 0, 3, 1);
    const second = ops.add(ops.linearScan(a2, b2, { axis: 0 }), ops.mul(ops.cumprod(a2, { axis: 0 }), state));
    return ops.concat([first, second], 0);
  };
  assertClose(run(pieces, a, b).data, whole.data, TIGHT, "pieces");
});

Deno.test("softmax: rows sum to 1, and adding a constant changes nothing", () => {
  const x = random([5, 67], -5, 5);
  assertClose(run((x) => ops.sum(ops.softmax(x), { axes: 1 }), x).data, [1, 1, 1, 1, 1], TIGHT, "sums");
  assertClose(run((x) => ops.softmax(ops.add(x, 500)), x).data, run((x) => ops.softmax(x), x).data, {
    relative: 1e-10,
    absolute: 1e-12,
  }, "shifted");
});

/** What simplification makes of ops: how many nodes of which kind are left. */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import type { Tensor } from "../../core/graph.ts";
import { simplify } from "../../core/simplify.ts";
import { spec, trace } from "../../core/trace.ts";
import * as ops from "../../ops/mod.ts";
import { addOp } from "../../core/linear.ts";
import { apply } from "../../core/graph.ts";
import { mulOp } from "../../ops/binary.ts";
import { broadcastOp } from "../../ops/broadcast.ts";
import { castOp } from "../../ops/select.ts";
import { padOp, sliceOp } from "../../ops/slice.ts";
import { reshapeOp, transposeOp } from "../../ops/views.ts";
import { evaluate, wave } from "../evaluate.ts";

/** The names of the ops that are left, in order. */
function left(fn: (x: Tensor, y: Tensor) => Tensor): string[] {
  const { graph } = trace(fn, [spec([3, 5]), spec([3, 5])]);
  return simplify(graph).nodes.map((node) => node.op.name);
}

Deno.test("rewrite: identities vanish", () => {
  const identities: Record<string, (x: Tensor) => Tensor> = {
    "x + 0": (x) => ops.add(x, 0),
    "0 + x": (x) => ops.add(0, x),
    "x - 0": (x) => ops.sub(x, 0),
    "x * 1": (x) => ops.mul(x, 1),
    "1 * x": (x) => ops.mul(1, x),
    "x / 1": (x) => ops.div(x, 1),
    "x ^ 1": (x) => ops.pow(x, ops.onesLike(x)),
    "- - x": (x) => ops.neg(ops.neg(x)),
    "max(x, x)": (x) => ops.maximum(x, x),
    "min(x, x)": (x) => ops.minimum(x, x),
    "stopGradient": ops.stopGradient,
    "cast": (x) => apply(castOp, [x], { dtype: "f32" }),
    "reshape": (x) => apply(reshapeOp, [x], { shape: [3, 5] }),
    "reshape there and back": (x) => ops.reshape(ops.reshape(x, [5, 3]), [3, 5]),
    "transpose": (x) => apply(transposeOp, [x], { axes: [0, 1] }),
    "transpose there and back": (x) => ops.transpose(ops.transpose(x)),
    "broadcast": (x) => apply(broadcastOp, [x], { shape: [3, 5] }),
    "slice": (x) => apply(sliceOp, [x], { starts: [0, 0], sizes: [3, 5] }),
    "pad": (x) => apply(padOp, [x], { low: [0, 0], high: [0, 0], value: 0 }),
    "flip there and back": (x) => ops.flip(ops.flip(x, 1), 1),
    "slice of a pad": (x) => ops.slice(ops.pad(x, [[1, 2], [3, 0]]), [1, 3], [3, 5]),
    "where true": (x) => ops.where(ops.full([3, 5], 1, "bool"), x, 7),
    "where false": (x) => ops.where(ops.full([3, 5], 0, "bool"), 7, x),
    "where x or x": (x) => ops.where(ops.greater(x, 0), x, x),
    "sum over an axis of 1": (x) => ops.reshape(ops.sum(ops.reshape(x, [3, 1, 5]), { axes: 1 }), [3, 5]),
    "max over an axis of 1": (x) => ops.reshape(ops.max(ops.reshape(x, [3, 1, 5]), { axes: 1 }), [3, 5]),
  };
  for (const [name, fn] of Object.entries(identities)) assertEquals(left(fn), [], name);
});

Deno.test("rewrite: a slice of a concatenation reads the part", () => {
  assertEquals(left((x, y) => ops.sliceAxis(ops.concat([x, y], 1), 1, 5, 5)), []);
  assertEquals(left((x, y) => ops.sliceAxis(ops.concat([x, y], 1), 1, 6, 3)), ["slice"]);
  assertEquals(left((x, y) => ops.sliceAxis(ops.concat([x, y], 1), 1, 3, 4)), ["concat", "slice"]);
});

Deno.test("rewrite: chains of views become one", () => {
  assertEquals(left((x) => ops.transpose(ops.transpose(ops.reshape(x, [3, 5, 1]), [1, 2, 0]), [1, 0, 2])), [
    "reshape",
    "transpose",
  ]);
  assertEquals(left((x) => ops.reshape(ops.reshape(x, [5, 3]), [15])), ["reshape"]);
  assertEquals(left((x) => ops.slice(ops.slice(x, [1, 1], [2, 4]), [1, 1], [1, 2])), ["slice"]);
  assertEquals(left((x) => ops.pad(ops.pad(x, [[1, 0], [0, 0]]), [[0, 1], [2, 0]])), ["pad"]);
  assertEquals(left((x) => ops.broadcastTo(ops.broadcastTo(ops.reshape(x, [3, 5]), [2, 3, 5]), [4, 2, 3, 5])), [
    "broadcastTo",
  ]);
});

/**
 * What may follow each other in a chain, given three numbers to choose by. All sides and axes differ, so that mistaking
 * one for another shows.
 */
const VIEWS: readonly ((x: Tensor, n: readonly number[]) => Tensor)[] = [
  (x, [a, b]) =>
    ops.slice(
      x,
      x.shape.map((extent, axis) => Math.min(axis === 0 ? a : b, extent - 1)),
      x.shape.map((extent, axis) => Math.max(1, extent - 1 - (axis === 0 ? a : b))),
    ),
  (x, [a, b, c]) => ops.pad(x, x.shape.map((_, axis) => (axis === 0 ? [a, b] : [c, a])), b === 0 ? 0 : 7),
  (x, [a, b]) => ops.pad(x, x.shape.map((_, axis) => (axis === 0 ? [b, 0] : [0, a]))),
  (x, [a]) => ops.flip(x, a % x.rank),
  (x, [a]) => ops.transpose(x, x.shape.map((_, axis) => (axis + a) % x.rank)),
  (x) => ops.reshape(x, [x.shape[1], x.shape[0], ...x.shape.slice(2)]),
  (x, [a]) => ops.concat([x, ops.neg(x), x], a % x.rank),
  (x, [a]) => ops.sliceAxis(ops.concat([x, ops.neg(x)], a % x.rank), a % x.rank, x.shape[a % x.rank], 1),
  (x, [a]) => ops.sum(ops.broadcastTo(x, [a + 1, ...x.shape]), { axes: 0 }),
  (x, [a]) => ops.max(x, { axes: a % x.rank, keepDims: true }),
  (x, [a, b]) => ops.where(ops.less(ops.iota(x.shape, a % x.rank), b + 1), x, 0),
];

Deno.test("rewrite: chains of views keep their values", () => {
  const link = fc.tuple(fc.nat(VIEWS.length - 1), fc.tuple(fc.nat(2), fc.nat(2), fc.nat(2)));
  fc.assert(
    fc.property(fc.array(link, { minLength: 2, maxLength: 5 }), fc.constantFrom([3, 4], [2, 3, 3]), (links, shape) => {
      evaluate((x: Tensor) => links.reduce((y, [view, numbers]) => VIEWS[view](y, numbers), x), [wave(shape)]);
    }),
    { numRuns: 1000, seed: 11 },
  );
});

Deno.test("rewrite: views and elementwise functions of repeated values are repeated values", () => {
  const chain = () =>
    ops.exp(
      ops.slice(ops.transpose(ops.reshape(ops.broadcastTo(ops.full([1, 5], 2), [3, 5]), [5, 3])), [0, 1], [2, 3]),
    );
  assertEquals(left(chain), ["full"]);
  assertEquals(left(() => ops.pad(ops.zeros([2, 3]), [[1, 1], [0, 2]])), ["full"]);
  assertEquals(left(() => ops.concat([ops.ones([2, 3]), ops.ones([1, 3])], 0)), ["full"]);
  assertEquals(left(() => ops.sum(ops.full([3, 5], 2), { axes: 1 })), ["full"]);
  assertEquals(left(() => ops.where(ops.full([3], 1, "bool"), 1, 0)), ["full"]);
});

Deno.test("rewrite: a sum of repeated elements is a product", () => {
  assertEquals(left((x) => ops.sum(ops.broadcastTo(x, [7, 3, 5]), { axes: 0 })), ["full", "mul"]);
  assertEquals(
    left((x) => ops.sum(ops.broadcastTo(ops.sum(x, { axes: 1, keepDims: true }), [3, 5]))).filter((name) =>
      name === "broadcastTo"
    ),
    [],
  );
});

Deno.test("rewrite: sums of sums are one", () => {
  assertEquals(left((x) => ops.sum(ops.sum(x, { axes: 0 }))), ["sum"]);
  assertEquals(
    left((x) => ops.sum(ops.sum(ops.reshape(x, [3, 5, 1, 1]), { axes: 1 }), { axes: 0 })).filter((name) =>
      name === "sum"
    ),
    ["sum"],
  );
});

Deno.test("rewrite: multiplying by 0 keeps NaN", () => {
  assertEquals(left((x) => ops.mul(x, 0)), ["full", "mul"]);
});

Deno.test("rewrite: constants of a gradient fold", () => {
  assertEquals(
    left((x) => apply(addOp, [apply(mulOp, [x, ops.mul(ops.full([3, 5], 2), 0.5)]), ops.sub(ops.zerosLike(x), 0)])),
    [],
  );
});

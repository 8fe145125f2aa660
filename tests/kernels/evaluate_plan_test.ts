/**
 * The interpreter of plans on all that the compiler makes of the op table, of the models and of every dtype: each pass
 * gives what the traced graph gives.
 */
import { assertEquals } from "@std/assert";
import { grad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import type { NdArray } from "../../core/op.ts";
import { scan } from "../../core/scan.ts";
import { spec, trace } from "../../core/trace.ts";
import * as ops from "../../ops/mod.ts";
import { nextToken } from "../../titans/train/next_token.ts";
import { defineOptimizer, stepScalars } from "../../titans/train/optimizer_config.ts";
import { trainingStep } from "../../titans/train/training_step.ts";
import { array, scalar, wave } from "../evaluate.ts";
import { random } from "../numeric.ts";
import { OP_CASES } from "../op_cases.ts";
import { forEachCase, lossOf } from "../op_suites/evaluate.ts";
import { MODELS, tinyModel, tokensOf } from "../titans/builders.ts";
import type { Value } from "../titans/runners.ts";
import { findStage, type StageOptions } from "./find_stage.ts";

/** Fails with the stage, the kernel and the message where a pass is wrong. */
function check(
  fn: (...args: Tensor[]) => unknown,
  inputs: readonly NdArray[],
  options: StageOptions = {},
): readonly NdArray[] {
  const { graph } = trace(fn, inputs.map(({ shape, dtype }) => spec(shape, dtype)));
  const { expected, fault } = findStage(graph, inputs, options);
  if (fault) throw new Error(`${fault.stage}: ${fault.message}`);
  return expected;
}

/** All inputs, given up. */
function all(inputs: readonly unknown[]): number[] {
  return inputs.map((_, position) => position);
}

Deno.test("plans of the op table and its gradients give the values of the references, donated and in an arena that is cut", () => {
  forEachCase(OP_CASES, (opCase) => {
    const { fn, inputs, differentiable, name } = opCase;
    const program = (...args: Tensor[]): Tensor[] => {
      if (differentiable.length === 0) return [fn(...args)];
      return [fn(...args), ...grad(lossOf(opCase), { argnums: differentiable })(...args) as Tensor[]];
    };
    try {
      check(program, inputs, { donated: all(inputs), limits: { maxBufferBytes: 2 ** 20 } });
    } catch (error) {
      throw new Error(`${name}: ${error instanceof Error ? error.message : error}`);
    }
  });
});

function toArray({ shape, data, dtype = "f32" }: Value): NdArray {
  return { shape, dtype, data: Float64Array.from(data) };
}

for (const [number, [name, options]] of MODELS.entries()) {
  Deno.test(`plans of the training step give the values of the graph: ${name}`, () => {
    const { model, params } = tinyModel(options), config = defineOptimizer();
    const step = trainingStep(model, nextToken({ masked: false }), config);
    const fn = (p: Tensor, first: Tensor, second: Tensor, healthy: Tensor, tokens: Tensor, scalars: Tensor) => {
      const { state, healthy: after, report } = step(
        { params: p, first, second },
        healthy,
        { data: { tokens } },
        scalars,
      );
      return [state.params, state.first, state.second, after, report];
    };
    const tokens = toArray(tokensOf(1, 13));
    const inputs = [
      toArray(params),
      wave(params.shape, 1, 1e-3),
      random(params.shape, 1e-6, 1e-5, 2),
      scalar(1),
      { ...tokens, shape: [1, 1, 13] },
      array([3], stepScalars(config, 3)),
    ];
    // As the two devices ask for it.
    const device: StageOptions = number % 2 === 0
      ? { maxOperands: 8, limits: { maxBufferBytes: 2 ** 16 } }
      : { maxOperands: 64 };
    check(fn, inputs, { ...device, donated: [0, 1, 2, 3] });
  });
}

const WORDS = [0, 1, 2, 3, 7, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff, 65536, 0xdeadbeef];
const INTEGERS = WORDS.map((word) => word | 0);

Deno.test("plans compute integers exactly: they wrap, divide towards zero and by zero, shift and mix", () => {
  const pairs = (values: readonly number[], dtype: "i32" | "u32"): [NdArray, NdArray] => {
    const n = values.length;
    return [
      array([n, n], values.flatMap((x) => values.map(() => x)), dtype),
      array([n, n], values.flatMap(() => values), dtype),
    ];
  };
  const arithmetic = (x: Tensor, y: Tensor) => [
    ops.add(x, y),
    ops.sub(x, y),
    ops.mul(x, y),
    ops.div(x, y),
    ops.maximum(x, y),
    ops.minimum(x, y),
    ops.less(x, y),
    ops.equal(ops.mul(x, x), y),
    ops.sum(ops.mul(x, y), { axes: 1 }),
    ops.max(x, { axes: 0 }),
    ops.argmax(ops.add(x, y), { axis: 1 }),
    ops.cumsum(y, { axis: 1, reverse: true }),
    ops.linearScan(x, y, { axis: 0 }),
    ops.cast(x, "f32"),
    ops.cast(x, "bool"),
  ];
  const [i, j] = pairs(INTEGERS, "i32"), [u, w] = pairs(WORDS, "u32");
  const signed = check(
    (x, y) => [...arithmetic(x, y), ops.neg(x), ops.abs(x), ops.sign(y), ops.cast(x, "u32")],
    [i, j],
    { donated: [0, 1] },
  );
  check((x, y) => [...arithmetic(x, y), ops.cast(x, "i32")], [u, w], { donated: [0, 1] });
  // What the reference says is held to BigInt, so that both cannot be wrong together.
  assertEquals(
    [...signed[2].data],
    [...i.data].map((x, at) => Number(BigInt.asIntN(32, BigInt(x) * BigInt(j.data[at])))),
  );
  check((key) => [ops.randomBits(key, [3, 5]), ops.uniform(ops.foldIn(key, 3), [2, 7]), ops.normal(key, [11])], [
    array([2], [0xffffffff, 7], "u32"),
  ]);
});

Deno.test("plans of f16 lie in halves of words: odd sizes, parts, casts and sums", () => {
  const x = random([3, 7], -2, 2, 1), h: NdArray = { ...random([3, 7], -2, 2, 2), dtype: "f16" };
  const fn = (x: Tensor, h: Tensor) => {
    const half = ops.cast(x, "f16"), both = ops.concat([half, h], 1);
    return [
      both,
      ops.mul(ops.cast(both, "f32"), 2),
      ops.sum(h, { axes: 1 }),
      ops.flip(h, [0, 1]),
      ops.softmax(h),
      ops.add(h, half),
      ops.transpose(half),
    ];
  };
  check(fn, [x, h], { donated: [0, 1] });
  const long: NdArray = { ...random([3 * 128, 5], -1, 1, 3), dtype: "f16" };
  check(
    (y) => [ops.matmul(ops.transpose(y), y), ops.concat([ops.neg(y), y, ops.exp(y), ops.square(y), y, y, y, y, y], 0)],
    [long],
  );
});

Deno.test("plans keep NaN, infinities and signed zeros, choose by bool, and gather outside as said", () => {
  const odd = [NaN, Infinity, -Infinity, 0, -0, 1, -1, 1e30];
  const x = array([8, 8], odd.flatMap((value) => odd.map(() => value))), y = array([8, 8], odd.flatMap(() => odd));
  const indices = array([6], [0, 7, -1, 8, 3, -2147483648], "i32");
  const fn = (x: Tensor, y: Tensor, at: Tensor) => [
    ops.maximum(x, y),
    ops.minimum(x, y),
    ops.max(x, { axes: 0 }),
    ops.min(y, { axes: 1 }),
    ops.argmax(y, { axis: 1 }),
    ops.div(x, y),
    ops.mul(x, y),
    ops.where(ops.less(x, y), x, ops.neg(y)),
    ops.logicalNot(ops.equal(x, x)),
    ops.cast(x, "bool"),
    ops.sigmoid(x),
    ops.tanh(y),
    ops.gather(x, at, { axis: 1 }),
    ops.gather(ops.less(x, 0), at),
    ops.scatterAdd(ops.zerosLike(x), at, ops.gather(y, at), { axis: 0 }),
    ops.sum(ops.where(ops.greater(y, 0), y, 0), { axes: 0 }),
  ];
  check(fn, [x, y, indices], { donated: [0, 1, 2] });
});

Deno.test("plans run loops of every shape: nested, reversed, empty, with unused parts, and their gradients of both orders", () => {
  const inner = (h: Tensor, row: Tensor, reverse: boolean, W: Tensor): [Tensor, Tensor] =>
    scan((c: Tensor, x: Tensor): [Tensor, Tensor] => [ops.tanh(ops.add(ops.mul(c, W), x)), ops.mul(c, x)], h, row, {
      reverse,
    });
  const outer = (x: Tensor, W: Tensor, reverse: boolean): Tensor[] => {
    const [last, [ys, , untouched]] = scan(
      (
        { h, idle }: { h: Tensor; idle: Tensor },
        { rows, unused }: { rows: Tensor; unused: Tensor },
      ): [{ h: Tensor; idle: Tensor }, Tensor[]] => {
        const [next, made] = inner(h, rows, !reverse, W);
        return [{ h: next, idle }, [made, ops.sum(unused), idle]];
      },
      { h: ops.zerosLike(W), idle: W },
      { rows: x, unused: x },
      { reverse },
    );
    return [last.h, ys, untouched];
  };
  for (const length of [0, 1, 2, 5]) {
    for (const reverse of [false, true]) {
      const loss = (x: Tensor, W: Tensor): Tensor =>
        outer(x, W, reverse).map((y) => ops.sum(ops.square(y))).reduce((a, b) => ops.add(a, b));
      const slope = (x: Tensor, W: Tensor): Tensor =>
        (grad(loss, { argnums: [0, 1] })(x, W) as Tensor[]).map((g) => ops.sum(ops.sin(g))).reduce((a, b) =>
          ops.add(a, b)
        );
      const fn = (x: Tensor, W: Tensor) => [
        ...outer(x, W, reverse),
        ...grad(loss, { argnums: [0, 1] })(x, W) as Tensor[],
        ...grad(slope, { argnums: [0, 1] })(x, W) as Tensor[],
      ];
      check(fn, [wave([length, 3, 4], 1), wave([4], 2)], { donated: [0, 1] });
      check(fn, [wave([length, 3, 4], 1), wave([4], 2)], { maxOperands: 6, limits: { maxBufferBytes: 4096 } });
    }
  }
});

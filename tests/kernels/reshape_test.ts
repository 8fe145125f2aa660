/**
 * Reshapes keep row-major order wherever they stand: every factorisation of every shape of up to 64 elements and rank
 * 5, alone, and behind and before ops of every kind. Axes of a result that cut across those of the operand make the
 * scheduler split and merge variables in every way that it can.
 */
import { assert, assertEquals } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { interpret } from "../../core/interpret.ts";
import type { NdArray, OpKind } from "../../core/op.ts";
import { scan } from "../../core/scan.ts";
import { spec } from "../../core/trace.ts";
import { compile, requestDevice } from "../../kernels/mod.ts";
import * as ops from "../../ops/mod.ts";
import { check, graphOf, numbers } from "./check_schedule.ts";

type Shape = readonly number[];

const MOST_ELEMENTS = 64, MOST_AXES = 5;
/**
 * Between other ops only shapes of up to this many elements are tried, which cut across each other in all the same
 * ways.
 */
const MOST_BETWEEN = 36;

/** The shapes of `size` elements without axes of one element, of at most `axes` axes. */
function factorisations(size: number, axes = MOST_AXES): Shape[] {
  if (size === 1) return [[]];
  if (axes === 0) return [];
  const out: Shape[] = [];
  for (let first = 2; first <= size; first++) {
    if (size % first === 0) { for (const rest of factorisations(size / first, axes - 1)) out.push([first, ...rest]); }
  }
  return out;
}

/** Every pair of different shapes with the same number of elements; every seventh with some axes of one element. */
function* pairs(sizes: Iterable<number>): Generator<readonly [from: Shape, to: Shape]> {
  let count = 0;
  for (const size of sizes) {
    const shapes = factorisations(size);
    for (const from of shapes) {
      for (const to of shapes) {
        if (from === to) continue;
        const withOnes = count % 7 === 0 && to.length < MOST_AXES;
        yield [from, withOnes ? to.toSpliced(count % (to.length + 1), 0, 1) : to];
        count++;
      }
    }
  }
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** An op of each kind that gives a tensor of its operand's shape and tells elements apart by their place. */
const CONTEXTS: readonly { readonly kind: OpKind; readonly apply: (x: Tensor) => Tensor }[] = [
  { kind: "map", apply: (x) => ops.tanh(x) },
  { kind: "view", apply: (x) => ops.add(ops.flip(x, x.rank - 1), x) },
  { kind: "view", apply: (x) => ops.transpose(ops.reshape(x, x.shape.toReversed())) },
  {
    kind: "view",
    apply: (x) => ops.pad(ops.sliceAxis(x, 0, 1, x.shape[0] - 1), x.shape.map((_, axis) => [axis === 0 ? 1 : 0, 0])),
  },
  {
    kind: "reduce",
    apply: (x) =>
      ops.max(ops.mul(ops.broadcastTo(ops.expandDims(x, x.rank), [...x.shape, 3]), ops.iota([3], 0, "f32")), {
        axes: x.rank,
      }),
  },
  { kind: "reduce", apply: (x) => ops.softmax(x, { axis: x.rank - 1 }) },
  { kind: "reduce", apply: (x) => ops.sub(x, ops.sum(x, { axes: 0, keepDims: true })) },
  { kind: "contract", apply: (x) => product(x) },
  { kind: "recurrence", apply: (x) => ops.cumsum(x, { axis: 0 }) },
  { kind: "recurrence", apply: (x) => ops.linearScan(ops.mul(x, 0.5), x, { axis: x.rank - 1, reverse: true }) },
  { kind: "gather", apply: (x) => ops.gather(x, lastFirst(x)) },
  { kind: "scatter", apply: (x) => ops.scatterAdd(x, lastFirst(x), ops.tanh(x)) },
  {
    kind: "loop",
    apply: (x) =>
      scan(
        (sum: Tensor, row: Tensor): [Tensor, Tensor] => [ops.add(sum, row), ops.add(sum, row)],
        ops.zeros(x.shape.slice(1)),
        x,
      )[1],
  },
  { kind: "source", apply: (x) => ops.add(x, ops.iota(x.shape, x.rank - 1, "f32")) },
];

/** Products of the last two axes, or of the only one, with a matrix. */
function product(x: Tensor): Tensor {
  const width = x.shape[x.rank - 1];
  const weights = ops.sin(ops.add(ops.mul(ops.iota([width, width], 0, "f32"), 3), ops.iota([width, width], 1, "f32")));
  return x.rank === 1
    ? ops.reshape(ops.matmul(ops.reshape(x, [1, width]), weights), [width])
    : ops.matmul(x, ops.broadcastTo(weights, [...x.shape.slice(0, -2), width, width]));
}

function lastFirst({ shape: [rows] }: Tensor): Tensor {
  return ops.sub(rows - 1, ops.iota([rows], 0));
}

function describe(from: Shape, to: Shape): string {
  return `[${from}] -> [${to}]`;
}

function checkNamed(name: string, fn: (x: Tensor) => Tensor, x: NdArray): void {
  try {
    check(fn, [x]);
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
  }
}

Deno.test("every kind of op stands before and behind reshapes", () => {
  const kinds = new Set<OpKind>();
  for (const { kind, apply } of CONTEXTS) {
    const graph = graphOf(apply, [numbers([3, 4])]);
    assert(graph.nodes.some(({ op }) => op.kind === kind), `a context has no ${kind}`);
    assertEquals(graph.outputs[0].shape, [3, 4]);
    kinds.add(kind);
  }
  assertEquals([...kinds].sort(), [
    "contract",
    "gather",
    "loop",
    "map",
    "recurrence",
    "reduce",
    "scatter",
    "source",
    "view",
  ]);
});

Deno.test("every reshape of up to 64 elements keeps row-major order", () => {
  let count = 0;
  for (const [from, to] of pairs(range(2, MOST_ELEMENTS))) {
    checkNamed(describe(from, to), (x) => ops.reshape(x, to), numbers(from));
    count++;
  }
  assert(count > 5000);
});

Deno.test("reshapes between ops of any kind keep row-major order", () => {
  const between = [undefined, ...CONTEXTS];
  let count = 0;
  for (const [from, to] of pairs(range(2, MOST_BETWEEN))) {
    const before = between[count % between.length],
      behind = between[Math.floor(count / between.length) % between.length];
    const fn = (x: Tensor): Tensor => {
      const moved = ops.reshape(before ? before.apply(x) : x, to);
      return behind ? behind.apply(moved) : moved;
    };
    checkNamed(`${describe(from, to)} between ${before?.kind} and ${behind?.kind}`, fn, numbers(from));
    count++;
  }
  assert(count > between.length ** 2);
});

/**
 * Shapes and what they are reshaped to, in one program each: several results may share a kernel, which then is another
 * one than that of each.
 */
const PROGRAMS: Readonly<Record<"cpu" | "webgpu", readonly (readonly [from: Shape, to: readonly Shape[]])[]>> = {
  cpu: [[2, 3, 2], [6, 3, 2], [4, 3, 5], [2, 2, 3, 3]].map((from) =>
    [from, factorisations(from.reduce((size, extent) => size * extent, 1))] as const
  ),
  webgpu: [[[2, 3, 2], [[4, 3]]], [[2, 2, 3], [[6, 2]]], [[8, 17, 5], [[40, 17, 1]]], [[2, 3, 2], factorisations(12)]],
};

for (const kind of ["cpu", "webgpu"] as const) {
  Deno.test(`${kind}: reshapes, alone and of a transpose, keep row-major order`, async () => {
    using device = await requestDevice({ kind });
    for (const [from, shapes] of PROGRAMS[kind]) {
      const input = numbers(from), x = Float32Array.from(input.data);
      const [transposed] = interpret(graphOf((x) => ops.neg(ops.transpose(x)), [input]), [{
        ...input,
        data: Float64Array.from(x),
      }]);
      const plain = (x: Tensor): Tensor[] => shapes.map((to) => ops.reshape(x, to));
      const moved = (x: Tensor): Tensor[] => shapes.map((to) => ops.neg(ops.reshape(ops.transpose(x), to)));
      for (const [fn, wanted] of [[plain, x], [moved, transposed.data]] as const) {
        using program = await compile(device, fn, [spec(from)]);
        (await program.run(x)).forEach(({ data }, i) =>
          assertEquals([...data], [...wanted], `${kind} ${describe(from, shapes[i])}`)
        );
      }
    }
  });
}

/**
 * Masked products of views: whatever a mask hides, and however operands and results are looked at (shared by the batch,
 * transposed, cut, reshaped, flipped, padded), no term that counts is dropped. What tells a product's variables apart
 * may be the mask alone.
 */
import { assert } from "@std/assert";
import fc from "fast-check";
import type { Tensor } from "../../core/graph.ts";
import { interpret } from "../../core/interpret.ts";
import type { NdArray } from "../../core/op.ts";
import { spec } from "../../core/trace.ts";
import { compile, requestDevice } from "../../kernels/mod.ts";
import { schedule } from "../../kernels/schedule.ts";
import * as ops from "../../ops/mod.ts";
import { graphOf, kernelSteps, MAX_OPERANDS, numbers, type Program } from "./check_schedule.ts";
import { evaluateSchedule } from "./evaluate_schedule.ts";
import { type Condition, conditionOf, conditions, honour } from "./masks.ts";

type Shape = readonly number[];

/** A way to look at an input as an operand of a product. */
interface View {
  readonly name: string;
  /** The input's shape, given the operand's. */
  readonly from: (shape: Shape) => Shape;
  readonly apply: (x: Tensor, shape: Shape) => Tensor;
}

function set(shape: Shape, axis: number, extent: number): Shape {
  return shape.with(axis < 0 ? axis + shape.length : axis, extent);
}

const VIEWS: readonly View[] = [
  { name: "whole", from: (shape) => shape, apply: (x) => x },
  { name: "shared by the batch", from: (shape) => shape.slice(-2), apply: (x, shape) => ops.broadcastTo(x, shape) },
  {
    name: "shared along the first axis",
    from: (shape) => set(shape, 0, 1),
    apply: (x, shape) => ops.broadcastTo(x, shape),
  },
  { name: "one row", from: (shape) => set(shape, -2, 1), apply: (x, shape) => ops.broadcastTo(x, shape) },
  { name: "one column", from: (shape) => set(shape, -1, 1), apply: (x, shape) => ops.broadcastTo(x, shape) },
  {
    name: "transposed",
    from: (shape) => [...shape.slice(0, -2), ...shape.slice(-2).toReversed()],
    apply: (x) => ops.swapAxes(x, x.rank - 2, x.rank - 1),
  },
  { name: "all axes reversed", from: (shape) => shape.toReversed(), apply: (x) => ops.transpose(x) },
  {
    name: "rows outermost",
    from: (shape) => [shape.at(-2)!, ...shape.slice(0, -2), shape.at(-1)!],
    apply: (x) => rowsInside(x),
  },
  {
    name: "cut",
    from: (shape) => set(shape, -2, shape.at(-2)! + 3),
    apply: (x, shape) => ops.sliceAxis(x, x.rank - 2, 2, shape.at(-2)!),
  },
  {
    name: "reshaped",
    from: (shape) => [shape.reduce((size, extent) => size * extent, 1)],
    apply: (x, shape) => ops.reshape(x, shape),
  },
  { name: "flipped rows", from: (shape) => shape, apply: (x) => ops.flip(x, x.rank - 2) },
  { name: "flipped batch", from: (shape) => shape, apply: (x) => ops.flip(x, 0) },
  {
    name: "padded",
    from: (shape) => set(shape, -1, shape.at(-1)! + 1),
    apply: (x, shape) =>
      ops.sliceAxis(
        ops.pad(x, x.shape.map((_, axis) => (axis === x.rank - 1 ? [1, 0] : [0, 0]))),
        x.rank - 1,
        0,
        shape.at(-1)!,
      ),
  },
];

function rowsInside(x: Tensor): Tensor {
  const batch = Array.from({ length: x.rank - 2 }, (_, i) => i + 1);
  return ops.transpose(x, [...batch, 0, x.rank - 1]);
}

interface Case {
  readonly batch: Shape;
  readonly size: readonly [m: number, n: number, k: number];
  readonly views: readonly [lhs: number, rhs: number, result: number];
  readonly masks: readonly [Condition, Condition];
  /** Which operands are masked, and where: before or behind their view. */
  readonly place: number;
}

const extent = fc.integer({ min: 1, max: 6 });
const view = fc.nat(VIEWS.length - 1);
const cases: fc.Arbitrary<Case> = fc.record({
  batch: fc.constantFrom([2], [3], [2, 3], [1, 2]),
  size: fc.tuple(extent, extent, extent),
  views: fc.tuple(view, view, view),
  masks: fc.tuple(conditions, conditions),
  place: fc.nat(6),
});

/** A masked product as a function of its two inputs, and their shapes. */
function build({ batch, size: [m, n, k], views, masks, place }: Case): { fn: Program; shapes: Shape[] } {
  const shapes = [[...batch, m, k], [...batch, k, n]], [lhs, rhs, result] = views.map((view) => VIEWS[view]);
  const hide = (condition: Condition, x: Tensor, by: number): Tensor => ops.where(conditionOf(condition, x), x, by);
  const masked = (x: Tensor, view: View, shape: Shape, which: 0 | 1): Tensor => {
    const isMatrix = view.from(shape).length >= 2;
    if (place === which && isMatrix) return view.apply(hide(masks[which], x, 0), shape);
    const seen = view.apply(x, shape);
    return place === which || place === 2 + which || place === 4 ? hide(masks[which], seen, 0) : seen;
  };
  const fn: Program = (x: Tensor, y: Tensor) => {
    const product = ops.matmul(masked(x, lhs, shapes[0], 0), masked(y, rhs, shapes[1], 1));
    if (place < 5) return product;
    // Of a result that a mask hides, perhaps behind a view, what is hidden is never read.
    const shown = hide(
      masks[0],
      place === 5 ? product : ops.swapAxes(product, product.rank - 2, product.rank - 1),
      0.5,
    );
    return result.name === "transposed" ? ops.softmax(shown) : ops.tanh(shown);
  };
  return { fn, shapes: [lhs.from(shapes[0]), rhs.from(shapes[1])] };
}

function describe({ batch, size, views, masks, place }: Case): string {
  return `[${batch}] x [${size}], ${views.slice(0, 2).map((view) => VIEWS[view].name).join(" by ")}, mask ${place} ${
    JSON.stringify(masks)
  }`;
}

function assertClose(name: string, found: ArrayLike<number>, wanted: NdArray, tolerance: number): void {
  wanted.data.forEach((value, i) => {
    if (!(Math.abs(value - found[i]) <= tolerance * Math.max(1, Math.abs(value)))) {
      throw new Error(`${name}: element ${i} is ${found[i]}, should be ${value}`);
    }
  });
}

Deno.test("masked products of views drop no term that counts", () => {
  let skipping = 0;
  fc.assert(
    fc.property(cases, (example) => {
      const { fn, shapes } = build(example), inputs = shapes.map((shape, i) => numbers(shape, i + 1));
      const graph = graphOf(fn, inputs), scheduled = schedule(graph, { maxOperands: MAX_OPERANDS });
      if (kernelSteps(scheduled.steps).some(({ kernel }) => kernel.kind === "contract" && kernel.mask.length > 0)) {
        skipping++;
      }
      const [found] = evaluateSchedule(
        { ...scheduled, steps: scheduled.steps.map(honour) },
        inputs.map(({ data }) => data),
      );
      assertClose(describe(example), found, interpret(graph, inputs)[0], 1e-9);
    }),
    { numRuns: 1200, seed: 21 },
  );
  assert(skipping > 200, `only ${skipping} products skip terms`);
});

/**
 * Products as large as printers skip tiles of; in every other one the batch shares the right operand and the left one
 * is masked.
 */
function large(seed: number, count: number): Case[] {
  const sizes: Case["size"][] = [[40, 8, 33], [33, 24, 40], [24, 40, 16]];
  const causal: Condition = { kind: "both", at: 0, parts: [] };
  return fc.sample(cases, { seed, numRuns: count }).map((example, i): Case => {
    const resized = { ...example, size: sizes[i % 3] };
    return i % 2 === 0
      ? resized
      : { ...resized, views: [0, 1, 0], place: 2, masks: [i % 4 === 1 ? causal : example.masks[0], example.masks[1]] };
  });
}

for (const kind of ["cpu", "webgpu"] as const) {
  Deno.test(`${kind}: masked products of views have the values of the reference`, async () => {
    using device = await requestDevice({ kind });
    const examples = large(31, kind === "cpu" ? 48 : 10);
    for (let first = 0; first < examples.length; first += 12) {
      const built = examples.slice(first, first + 12).map((example) => ({ example, ...build(example) }));
      const shapes = built.flatMap(({ shapes }) => shapes), inputs = shapes.map((shape, i) => numbers(shape, i + 1));
      const fn: Program = (...args: Tensor[]) => built.map(({ fn }, i) => fn(args[2 * i], args[2 * i + 1]));
      using program = await compile(device, fn, shapes.map((shape) => spec(shape)));
      const results = await program.run(...inputs.map(({ data }) => Float32Array.from(data))) as {
        data: ArrayLike<number>;
      }[];
      const wanted = interpret(graphOf(fn, inputs), inputs);
      built.forEach(({ example }, i) => assertClose(`${kind}: ${describe(example)}`, results[i].data, wanted[i], 1e-4));
    }
  });
}

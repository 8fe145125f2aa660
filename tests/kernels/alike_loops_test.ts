/** Loops that are alike share kernels, and those that only look alike do not. */
import { assertEquals } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { scan } from "../../core/scan.ts";
import { spec, trace } from "../../core/trace.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import type { LoopStep, Schedule } from "../../kernels/plan.ts";
import {
  add,
  broadcastTo,
  concat,
  full,
  iota,
  lessEqual,
  matmul,
  mul,
  reshape,
  slice,
  sum,
  tanh,
  transpose,
  where,
} from "../../ops/mod.ts";
import { check, kernelSteps, numbers } from "./check_schedule.ts";
import { findStage } from "./find_stage.ts";

const N = 8, LENGTH = 3, SQUARE = [N, N];

/** A matrix of a vector's elements from one on. */
function part(vector: Tensor, first: number): Tensor {
  return reshape(slice(vector, [first], [N * N]), SQUARE);
}

/** Ways to come by a square matrix from a vector of parameters and a matrix. */
const MATRICES = {
  argument: (_, x) => x,
  first: (vector) => part(vector, 0),
  aligned: (vector) => part(vector, 2 * N * N),
  unaligned: (vector) => part(vector, 5),
  transposed: (_, x) => transpose(x, [1, 0]),
  row: (vector) => broadcastTo(slice(vector, [N], [N]), SQUARE),
  computed: (vector, x) => mul(x, part(vector, 0)),
  stored: (_, x) => tanh(matmul(x, x)),
  triangle: (_, x) => where(lessEqual(iota(SQUARE, 1), iota(SQUARE, 0)), tanh(matmul(x, x)), 0),
  constant: (vector) => full(SQUARE, 0.25, vector.dtype),
} as const satisfies Readonly<Record<string, (vector: Tensor, x: Tensor) => Tensor>>;

const INPUTS = [numbers([4 * N * N + 16]), numbers(SQUARE, 2), numbers(SQUARE, 3)];

/** A loop with a carry, slices and results. */
function loop(matrix: Tensor, init: Tensor, rows: Tensor): Tensor[] {
  const [carry, ys] = scan(
    (state: Tensor, row: Tensor) => {
      const next = tanh(add(matmul(state, matrix), row));
      return [next, sum(next, { axes: [1] })];
    },
    init,
    rows,
    { length: LENGTH },
  );
  return [carry, ys as Tensor];
}

function loopsOf({ steps }: Schedule): LoopStep[] {
  return steps.filter((step) => step.kind === "loop");
}

function kernelsOf({ steps }: LoopStep): Kernel[] {
  return kernelSteps(steps).map(({ kernel }) => kernel);
}

function rowsOf(x: Tensor): Tensor {
  return broadcastTo(reshape(x, [1, ...SQUARE]), [LENGTH, ...SQUARE]);
}

Deno.test("loops over matrices of any two origins give the values of the graph, zeros skipped, in one arena", () => {
  const specs = INPUTS.map(({ shape, dtype }) => spec(shape, dtype));
  for (const [name, first] of Object.entries(MATRICES)) {
    for (const [other, second] of Object.entries(MATRICES)) {
      const { graph } = trace((...[vector, x, y]: Tensor[]) => [
        ...loop(first(vector, x), y, rowsOf(x)),
        ...loop(second(vector, y), x, rowsOf(y)),
      ], specs);
      const { fault } = findStage(graph, INPUTS);
      assertEquals(fault, undefined, `${name} and ${other}`);
    }
  }
});

Deno.test("loops over parts of one vector run the same kernels", () => {
  const scheduled = check((vector: Tensor, x: Tensor, y: Tensor) => {
    const [state, sums] = loop(part(vector, 0), y, rowsOf(x));
    return [sums, ...loop(part(vector, 2 * N * N), state, rowsOf(x))];
  }, INPUTS);
  const [first, second] = loopsOf(scheduled).map(kernelsOf);
  assertEquals(first.map((kernel, at) => kernel === second[at]), second.map(() => true));
});

Deno.test("what bodies close over has the same order, whatever was made before it", () => {
  const scheduled = check((vector: Tensor, x: Tensor, y: Tensor) => {
    part(vector, 2 * N * N);
    const table = tanh(y);
    const block = (state: Tensor, at: number) => {
      // Those of the second block are made before the table is, those of the first after it.
      const weights = part(vector, at);
      return scan(
        (carry: Tensor, _: undefined) => [tanh(add(matmul(carry, weights), table)), undefined],
        state,
        undefined,
        { length: LENGTH },
      )[0];
    };
    return block(block(x, 0), 2 * N * N);
  }, INPUTS);
  const [first, second] = loopsOf(scheduled).map(kernelsOf);
  assertEquals(first, second);
});

Deno.test("products that skip zeros are shared by no loop whose matrix may have others", () => {
  const scheduled = check((vector: Tensor, x: Tensor, y: Tensor) => [
    ...loop(MATRICES.triangle(vector, x), y, rowsOf(x)),
    ...loop(MATRICES.stored(vector, y), x, rowsOf(y)),
  ], INPUTS);
  const masks = loopsOf(scheduled).map((loop) =>
    kernelsOf(loop).flatMap((kernel) => (kernel.kind === "contract" ? [kernel.mask.flat().length > 0] : []))
  );
  assertEquals(masks, [[true], [false]]);
});

Deno.test("loops that write to parts of one result run the same kernels where these parts can be bound", () => {
  const kernels = (join: (a: Tensor[], b: Tensor[]) => Tensor[]): Kernel[][] =>
    loopsOf(check((vector: Tensor, x: Tensor, y: Tensor) => {
      const a = loop(part(vector, 0), y, rowsOf(x)), b = loop(part(vector, 2 * N * N), x, rowsOf(y));
      return join(a, b);
    }, INPUTS)).map(kernelsOf);
  const [first, second] = kernels(([a, sums], [b, others]) => [concat([a, b], 0), sums, others]);
  assertEquals(first.map((kernel, at) => kernel === second[at]), second.map(() => true));
  // The sums of the second loop begin within a row, or at an element that no binding begins at.
  for (const axis of [0, 1]) {
    const [one, other] = kernels(([a, sums], [b, others]) => [a, b, concat([sums, others], axis)]);
    assertEquals(one.some((kernel) => other.includes(kernel)), false, `along axis ${axis}`);
  }
});

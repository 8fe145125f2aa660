/** Cases of inverses of triangles and of convolutions. */
import type { NdArray } from "../../core/op.ts";
import type { Conv1dOptions } from "../../ops/conv1d.ts";
import * as ops from "../../ops/mod.ts";
import { array, at, build, random } from "../numeric.ts";
import { type OpCase, opCase } from "./op_case.ts";

/** The inverse of a lower triangle by substitution, column by column. */
function substituted(x: NdArray, unit: boolean): number[] {
  const N = x.shape[x.shape.length - 1], result = new Array<number>(x.data.length).fill(0);
  for (let base = 0; base < x.data.length; base += N * N) {
    for (let column = 0; column < N; column++) {
      for (let row = column; row < N; row++) {
        let value = row === column ? 1 : 0;
        for (let k = column; k < row; k++) value -= x.data[base + row * N + k] * result[base + k * N + column];
        result[base + row * N + column] = unit ? value : value / x.data[base + row * N + row];
      }
    }
  }
  return result;
}
const turned = (x: NdArray): NdArray => ({
  ...x,
  data: Float64Array.from(build(x.shape, (index) => at(x, [...index.slice(0, -2), index.at(-1)!, index.at(-2)!]))),
});
/** Small elements, and a diagonal well away from 0. */
const triangle = (shape: readonly number[]): NdArray => {
  const x = random(shape, -0.5, 0.5, 3), N = shape[shape.length - 1];
  x.data.forEach((value, i) => {
    const place = i % (N * N);
    if (Math.floor(place / N) === place % N) x.data[i] = value < 0 ? value - 1 : value + 1;
  });
  return x;
};

const inverseCases: OpCase[] = [
  opCase("triangularInverse", [triangle([2, 7, 7])], (x) => ops.triangularInverse(x), {
    expected: (x) => substituted(x, false),
    tolerance: "accumulation",
  }),
  opCase(
    "triangularInverse",
    [triangle([5, 5])],
    (x) => ops.triangularInverse(x, { upper: true, unitDiagonal: true }),
    {
      name: "of a unit upper one",
      expected: (x) => [...turned({ ...x, data: Float64Array.from(substituted(turned(x), true)) }).data],
      tolerance: "accumulation",
    },
  ),
  // More rows than a small block has: two blocks of 9, the last row and column filled up.
  opCase("triangularInverse", [triangle([2, 17, 17])], (x) => ops.triangularInverse(x), {
    expected: (x) => substituted(x, false),
    tolerance: "accumulation",
  }),
  opCase("triangularInverse", [triangle([37, 37])], (x) => ops.triangularInverse(x, { unitDiagonal: true }), {
    name: "of a unit one",
    expected: (x) => substituted(x, true),
    tolerance: "accumulation",
  }),
  opCase(
    "triangularInverse",
    [array([2, 2], [NaN, Infinity, 3, NaN])],
    (x) => ops.triangularInverse(x, { unitDiagonal: true }),
    {
      name: "reads its triangle only",
      expected: () => [1, 0, -3, 1],
      differentiable: [],
      tolerance: "exact",
    },
  ),
  opCase("triangularInverse", [array([1, 1], [4])], (x) => ops.triangularInverse(x), { expected: () => [0.25] }),
  opCase("triangularInverse", [random([2, 0, 0])], (x) => ops.triangularInverse(x), {
    name: "of nothing",
    expected: () => [],
  }),
];

function convolved(x: NdArray, w: NdArray, options: Conv1dOptions, before: number, length: number): number[] {
  const { stride = 1, dilation = 1, groups = 1 } = options, [B, T] = x.shape, [O, perGroup, W] = w.shape;
  return build([B, length, O], ([b, t, o]) => {
    const first = Math.floor(o / (O / groups)) * perGroup;
    let sum = 0;
    for (let j = 0; j < W; j++) {
      const from = t * stride + j * dilation - before;
      if (from < 0 || from >= T) continue;
      for (let i = 0; i < perGroup; i++) sum += at(w, [o, i, j]) * at(x, [b, from, first + i]);
    }
    return sum;
  });
}

/** A convolution; `before` and `length` are what its padding comes to. */
function conv(
  name: string,
  shapes: readonly [readonly number[], readonly number[]],
  options: Conv1dOptions,
  [before, length]: readonly [number, number],
  differentiable?: readonly number[],
): OpCase {
  return opCase("conv1d", [random(shapes[0]), random(shapes[1], -1, 1, 2)], (x, w) => ops.conv1d(x, w, options), {
    name,
    expected: (x, w) => convolved(x, w, options, before, length),
    tolerance: "accumulation",
    ...(differentiable && { differentiable }),
  });
}

const convolutionCases: OpCase[] = [
  conv("valid", [[2, 7, 3], [5, 3, 3]], {}, [0, 5]),
  conv("same, in steps", [[2, 8, 3], [2, 3, 4]], { padding: "same", stride: 3 }, [1, 3]),
  conv("causal, dilated, in groups", [[1, 7, 6], [4, 3, 3]], { padding: "causal", dilation: 2, groups: 2 }, [4, 7]),
  conv("depthwise", [[2, 7, 3], [6, 1, 4]], { padding: [3, 1], groups: 3 }, [3, 8]),
  conv("of one tap", [[2, 3, 5], [7, 5, 1]], {}, [0, 3], []),
  conv("longer than the input", [[2, 2, 3], [5, 3, 4]], {}, [0, 0]),
  conv("of nothing", [[2, 0, 3], [5, 3, 2]], { padding: "causal" }, [1, 0]),
];

/** All of them. */
export const LINEAR_ALGEBRA_CASES: readonly OpCase[] = [...inverseCases, ...convolutionCases];

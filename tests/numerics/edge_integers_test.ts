import { requestDevice, type Tensor } from "../../mod.ts";
import type { DType } from "../../core/dtype.ts";
import * as ops from "../../ops/mod.ts";
import { report, runOnce } from "./edges.ts";
import { EDGES } from "./f32.ts";

const SIGNED = Int32Array.of(
  0,
  1,
  -1,
  2,
  -2,
  3,
  -7,
  31,
  32,
  46341,
  -46341,
  65536,
  16777217,
  2147483647,
  -2147483647,
  -2147483648,
);
const UNSIGNED = Uint32Array.of(
  0,
  1,
  2,
  3,
  7,
  31,
  32,
  65536,
  65537,
  16777217,
  2147483647,
  2147483648,
  4294967294,
  4294967295,
);

type Wrap = (x: number) => number;
type Row = readonly [
  name: string,
  fn: (x: Tensor, y: Tensor) => Tensor,
  exact: (x: number, y: number, wrap: Wrap) => number,
];

/** Integer arithmetic keeps the low 32 bits; a division by 0 gives the dividend, and no shift or division traps. */
const ROWS: readonly Row[] = [
  ["add", ops.add, (x, y, wrap) => wrap(x + y)],
  ["sub", ops.sub, (x, y, wrap) => wrap(x - y)],
  ["mul", ops.mul, (x, y, wrap) => wrap(Math.imul(x, y))],
  ["div", ops.div, (x, y, wrap) => y === 0 ? x : wrap(Math.trunc(x / y))],
  ["mod", ops.mod, (x, y) => y === 0 ? 0 : x - y * Math.floor(x / y)],
  ["maximum", ops.maximum, (x, y) => Math.max(x, y)],
  ["minimum", ops.minimum, (x, y) => Math.min(x, y)],
  ["pow(x, 3)", (x) => ops.pow(x, 3), (x, _y, wrap) => wrap(Math.imul(Math.imul(x, x), x))],
  ["pow(x, 0)", (x) => ops.pow(x, 0), () => 1],
  ["square", ops.square, (x, _y, wrap) => wrap(Math.imul(x, x))],
  ["equal", ops.equal, (x, y) => Number(x === y)],
  ["notEqual", ops.notEqual, (x, y) => Number(x !== y)],
  ["less", ops.less, (x, y) => Number(x < y)],
  ["lessEqual", ops.lessEqual, (x, y) => Number(x <= y)],
  ["greater", ops.greater, (x, y) => Number(x > y)],
  ["greaterEqual", ops.greaterEqual, (x, y) => Number(x >= y)],
  ["div(x, 0)", (x) => ops.div(x, 0), (x) => x],
  ["x * 0", (x) => ops.mul(x, 0), () => 0],
  ["x - x", (x) => ops.sub(x, x), () => 0],
];

const SIGNED_ROWS: readonly Row[] = [
  ["neg", (x) => ops.neg(x), (x, _y, wrap) => wrap(-x)],
  ["abs", (x) => ops.abs(x), (x, _y, wrap) => wrap(Math.abs(x))],
  ["sign", (x) => ops.sign(x), (x) => Math.sign(x)],
  ["div(x, -1)", (x) => ops.div(x, -1), (x, _y, wrap) => wrap(-x)],
];

for (const kind of ["reference", "cpu", "webgpu"] as const) {
  Deno.test(`edge values: integers wrap and never trap, on ${kind}`, async () => {
    using device = await requestDevice({ kind });
    const failures: string[] = [];
    let count = 0;
    for (const values of [SIGNED, UNSIGNED]) {
      const rows = values === SIGNED ? [...ROWS, ...SIGNED_ROWS] : ROWS,
        wrap: Wrap = values === SIGNED ? (x) => x | 0 : (x) => x >>> 0;
      const pairs = Array.from(
        { length: values.length ** 2 },
        (_, i) => [values[Math.floor(i / values.length)], values[i % values.length]],
      );
      const column = (at: number) =>
        values === SIGNED ? Int32Array.from(pairs, (pair) => pair[at]) : Uint32Array.from(pairs, (pair) => pair[at]);
      const results = await runOnce(device, (x, y) => rows.map(([, fn]) => fn(x, y)), [column(0), column(1)]);
      rows.forEach(([name, , exact], at) =>
        pairs.forEach(([x, y], i) => {
          count++;
          const expected = exact(x, y, wrap) + 0;
          if (results[at].data[i] !== expected) {
            failures.push(`${name} of ${x}, ${y} is ${results[at].data[i]}, expected ${expected}`);
          }
        })
      );
    }
    report(kind, count, failures);
  });

  Deno.test(`edge values: conversions between all dtypes, on ${kind}`, async () => {
    using device = await requestDevice({ kind });
    const failures: string[] = [];
    let count = 0;
    const targets: readonly DType[] = ["f32", "i32", "u32", "bool"];
    const halves = Float32Array.of(-0.9, 2.999, -2.999, 1e9, 3e9, -1e9, 2147483520, 4294967040);
    for (const values of [Float32Array.of(...EDGES, ...halves), SIGNED, UNSIGNED]) {
      const results = await runOnce(device, (x) => targets.map((dtype) => ops.cast(x, dtype)), [values]);
      targets.forEach((dtype, at) =>
        values.forEach((value, i) => {
          count++;
          const expected = converted(value, dtype, values instanceof Float32Array), found = results[at].data[i];
          const isFlushed = kind === "webgpu" && dtype === "bool" && Math.abs(value) < 1.1754944e-38 && found === 0;
          if (!Object.is(found, expected) && found !== expected && !isFlushed) {
            failures.push(`cast to ${dtype} of ${value} is ${found}, expected ${expected}`);
          }
        })
      );
    }
    report(kind, count, failures);
  });
}

/** Floats are cut off and stay within the integers, NaN is 0; integers keep their bits; whatever is not 0 is true. */
function converted(value: number, to: DType, isFloat: boolean): number {
  switch (to) {
    case "bool":
      return Number(value !== 0);
    case "f32":
      return Math.fround(value);
    case "i32":
      return !isFloat
        ? value | 0
        : Number.isNaN(value)
        ? 0
        : Math.min(Math.max(Math.trunc(value), -(2 ** 31)), 2 ** 31 - 1) + 0;
    default:
      return !isFloat
        ? value >>> 0
        : Number.isNaN(value)
        ? 0
        : Math.min(Math.max(Math.trunc(value), 0), 2 ** 32 - 1) + 0;
  }
}

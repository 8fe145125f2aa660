/**
 * How far functions of one or two floats are from the exact value at most, on a device: what the table of
 * docs/numerics.md says.
 */
import { erfOf } from "../../ops/erf.ts";
import * as ops from "../../ops/mod.ts";
import type { Tensor } from "../../core/graph.ts";
import type { Device } from "../../mod.ts";
import { uniformGenerator } from "../numeric.ts";
import { runOnce } from "./edges.ts";
import { fromBits, isSubnormal, ulpDistance } from "./f32.ts";

/** A function, and which arguments it is measured at. */
export interface Measured {
  readonly name: string;
  /** The arguments, in words. */
  readonly range: string;
  readonly fn: (x: Tensor, y: Tensor) => Tensor;
  readonly exact: (x: number, y: number) => number;
  readonly covers: (x: number, y: number) => boolean;
}

const everywhere = () => true;
const sigmoid = (x: number) => x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));

/** The functions of the table, in its order. */
export const MEASURED: readonly Measured[] = [
  { name: "div", range: "all", fn: ops.div, exact: (x, y) => x / y, covers: (_x, y) => Math.abs(y) < 2 ** 126 },
  { name: "sqrt", range: "all", fn: (x) => ops.sqrt(x), exact: Math.sqrt, covers: everywhere },
  { name: "rsqrt", range: "all", fn: (x) => ops.rsqrt(x), exact: (x) => 1 / Math.sqrt(x), covers: everywhere },
  { name: "exp", range: "all", fn: (x) => ops.exp(x), exact: Math.exp, covers: everywhere },
  { name: "log", range: "all", fn: (x) => ops.log(x), exact: Math.log, covers: everywhere },
  { name: "log1p", range: "all", fn: (x) => ops.log1p(x), exact: Math.log1p, covers: everywhere },
  { name: "expm1", range: "all", fn: (x) => ops.expm1(x), exact: Math.expm1, covers: everywhere },
  { name: "sin", range: "all", fn: (x) => ops.sin(x), exact: Math.sin, covers: everywhere },
  { name: "cos", range: "all", fn: (x) => ops.cos(x), exact: Math.cos, covers: everywhere },
  { name: "tanh", range: "all", fn: (x) => ops.tanh(x), exact: Math.tanh, covers: everywhere },
  { name: "sigmoid", range: "from -87 on", fn: (x) => ops.sigmoid(x), exact: sigmoid, covers: (x) => x > -87 },
  { name: "erf", range: "all", fn: (x) => ops.erf(x), exact: erfOf, covers: everywhere },
  {
    name: "pow",
    range: "-8 < y log x < 8",
    fn: ops.pow,
    exact: Math.pow,
    covers: (x, y) => x > 0 && Math.abs(y * Math.log(x)) < 8,
  },
  { name: "pow", range: "all x > 0", fn: ops.pow, exact: Math.pow, covers: (x) => x > 0 },
];

/** Arguments of every size, more of them where functions bend, and those next to multiples of pi / 2. */
function samples(count: number): { x: Float32Array; y: Float32Array } {
  const next = uniformGenerator(11),
    anySize = () => fromBits(Math.floor(next() * 0x7f800000)) * (next() < 0.5 ? -1 : 1);
  const kinds: readonly (() => number)[] = [
    anySize,
    () => (next() - 0.5) * 4,
    () => (next() - 0.5) * 200,
    () => 1 + (next() - 0.5) * 0.5,
    () => Math.round(next() * 20000) * Math.PI / 2,
  ];
  const x = Float32Array.from({ length: count }, (_, i) => kinds[i % kinds.length]());
  const y = Float32Array.from({ length: count }, (_, i) => i % 3 === 0 ? anySize() : (next() - 0.5) * 20);
  return { x, y };
}

/**
 * The greatest error of each function, in units of the last place of the exact value; results below the normal numbers
 * do not count.
 */
export async function measureErrors(device: Device, count: number): Promise<number[]> {
  const { x, y } = samples(count);
  const results = await runOnce(device, (x, y) => MEASURED.map(({ fn }) => fn(x, y)), [x, y]);
  return MEASURED.map(({ exact, covers }, at) =>
    x.reduce((worst, value, i) => {
      const expected = exact(value, y[i]),
        counts = covers(value, y[i]) && !isSubnormal(value) && !isSubnormal(y[i]) &&
          !isSubnormal(Math.fround(expected));
      return counts && Number.isFinite(Math.fround(expected)) && expected !== 0
        ? Math.max(worst, ulpDistance(results[at].data[i], expected))
        : worst;
    }, 0)
  );
}

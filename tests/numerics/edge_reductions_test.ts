import { requestCpuDevice, requestWebGpuDevice } from "../../kernels/mod.ts";
import { printWgsl } from "../kernels/print_wgsl.ts";
import { compile, type Device, grad, requestDevice, spec, type Tensor } from "../../mod.ts";
import * as ops from "../../ops/mod.ts";
import { report } from "./edges.ts";
import { GREATEST, ulpDistance } from "./f32.ts";

/** Something made of a row: one number, or a row again. */
interface RowRow {
  readonly name: string;
  readonly fn: (x: Tensor, axis: number) => Tensor;
  readonly exact: (row: readonly number[]) => number | number[];
  readonly ulp: number;
  /** Whether the op knows no other axis. */
  readonly lastAxisOnly?: boolean;
}

const total = (row: readonly number[]) => row.reduce((sum, x) => sum + x, 0);
const most = (row: readonly number[]) => row.reduce((best, x) => Math.max(best, x), -Infinity);
const firstMost = (row: readonly number[]) => {
  const nan = row.findIndex(Number.isNaN);
  return nan >= 0 ? nan : row.indexOf(most(row));
};
const logSumExp = (row: readonly number[]) => {
  const top = Math.min(Math.max(most(row), -GREATEST), GREATEST);
  return Math.log(total(row.map((x) => Math.exp(x - top)))) + top;
};
const softmax = (row: readonly number[]) => {
  const weights = row.map((x) => Math.exp(x - most(row)));
  return weights.map((weight) => weight / total(weights));
};
const scaled = (row: readonly number[], size: number) => row.map((x) => x / size);
const meanSquare = (row: readonly number[]) => total(row.map((x) => x * x)) / row.length;
const layerNorm = (row: readonly number[]) => {
  const centered = row.map((x) => x - total(row) / row.length);
  return scaled(centered, Math.sqrt(meanSquare(centered) + 1e-5));
};
const cumulative = (row: readonly number[], join: (x: number, y: number) => number) =>
  row.map((_, i) => row.slice(0, i + 1).reduce(join));

/** Reductions and what is built on them. */
const ROWS: readonly RowRow[] = [
  { name: "sum", fn: (x, axes) => ops.sum(x, { axes }), exact: total, ulp: 64 },
  { name: "mean", fn: (x, axes) => ops.mean(x, { axes }), exact: (row) => total(row) / row.length, ulp: 64 },
  { name: "max", fn: (x, axes) => ops.max(x, { axes }), exact: most, ulp: 0 },
  { name: "min", fn: (x, axes) => ops.min(x, { axes }), exact: (row) => -most(row.map((x) => -x)), ulp: 0 },
  { name: "prod", fn: (x, axes) => ops.prod(x, { axes }), exact: (row) => row.reduce((all, x) => all * x, 1), ulp: 64 },
  {
    name: "variance",
    fn: (x, axes) => ops.variance(x, { axes }),
    exact: (row) => meanSquare(row.map((x) => x - total(row) / row.length)),
    ulp: 64,
  },
  { name: "argmin", fn: (x, axis) => ops.argmin(x, { axis }), exact: (row) => firstMost(row.map((x) => -x)), ulp: 0 },
  { name: "argmax", fn: (x, axis) => ops.argmax(x, { axis }), exact: firstMost, ulp: 0 },
  { name: "logSumExp", fn: (x, axis) => ops.logSumExp(x, { axis }), exact: logSumExp, ulp: 64 },
  { name: "softmax", fn: (x, axis) => ops.softmax(x, { axis }), exact: softmax, ulp: 400 },
  {
    name: "logSoftmax",
    fn: (x, axis) => ops.logSoftmax(x, { axis }),
    exact: (row) => row.map((x) => x - most(row) - logSumExp(row.map((y) => y - most(row)))),
    ulp: 64,
  },
  {
    name: "cumsum",
    fn: (x, axis) => ops.cumsum(x, { axis }),
    exact: (row) => cumulative(row, (x, y) => x + y),
    ulp: 64,
  },
  {
    name: "cumprod",
    fn: (x, axis) => ops.cumprod(x, { axis }),
    exact: (row) => cumulative(row, (x, y) => x * y),
    ulp: 64,
  },
  { name: "layerNorm", fn: (x) => ops.layerNorm(x), exact: layerNorm, ulp: 400, lastAxisOnly: true },
  {
    name: "rmsNorm",
    fn: (x) => ops.rmsNorm(x),
    exact: (row) => scaled(row, Math.sqrt(meanSquare(row) + 1e-6)),
    ulp: 64,
    lastAxisOnly: true,
  },
  {
    name: "l2Normalize",
    fn: (x) => ops.l2Normalize(x),
    exact: (row) => scaled(row, Math.sqrt(total(row.map((x) => x * x)) + 1e-6)),
    ulp: 64,
    lastAxisOnly: true,
  },
];

/** Rows with one odd value at each place, with two of them, and without any. */
function rowsOf(extent: number): number[][] {
  const plain = Array.from({ length: extent }, (_, i) => ((i * 7) % 5) - 1.5);
  const places = extent <= 9 ? [...plain.keys()] : [0, 1, 4, extent - 6, extent - 2, extent - 1];
  const odd = places.flatMap((place) => [NaN, Infinity, -Infinity].map((value) => plain.with(place, value)));
  const pairs = [[NaN, Infinity], [Infinity, NaN], [NaN, NaN], [Infinity, -Infinity], [Infinity, Infinity]].flatMap((
    [x, y],
  ) => places.flatMap((place) => (place + 1 < extent ? [plain.with(place, x).with(extent - 1, y)] : [])));
  return [
    ...odd,
    ...pairs,
    plain,
    plain.map(() => -Infinity),
    plain.map(() => NaN),
    plain.map(() => 0),
    plain.map(() => Infinity),
  ];
}

async function checkRows(
  device: Device,
  extent: number,
  axis: 0 | 1,
  all = ROWS,
): Promise<{ count: number; failures: string[] }> {
  const rows = rowsOf(extent), table = all.filter(({ lastAxisOnly }) => axis === 1 || !lastAxisOnly);
  const flat = axis === 1 ? rows.flat() : Array.from({ length: extent }, (_, i) => rows.map((row) => row[i])).flat();
  const program = await compile(device, (x: Tensor) => table.map(({ fn }) => fn(x, axis)), [
    spec(axis === 1 ? [rows.length, extent] : [extent, rows.length]),
  ]);
  const results = await program.run(Float32Array.from(flat));
  program.dispose();
  const failures: string[] = [];
  table.forEach(({ name, exact, ulp }, at) =>
    rows.forEach((row, r) => {
      const expected = [exact(row)].flat();
      const { data } = results[at];
      const found = expected.map((_, i) =>
        data[
          expected.length === 1 && data.length === rows.length ? r : axis === 1 ? r * extent + i : i * rows.length + r
        ]
      );
      const isRight = found.every((value, i) =>
        Number.isNaN(expected[i])
          ? Number.isNaN(value)
          : Math.abs(value - expected[i]) <= 1e-6 || ulpDistance(value, expected[i]) <= Math.max(ulp, 0.5)
      );
      if (!isRight) {
        failures.push(
          `${name} along axis ${axis} of ${row.slice(0, 20)} (${extent}) is ${found}, expected ${expected}`,
        );
      }
    })
  );
  return { count: table.length * rows.length, failures };
}

const EXTENTS = [1, 3, 4, 5, 8, 17];

async function checkDevice(device: Device, extents: readonly number[]): Promise<void> {
  const failures: string[] = [];
  let count = 0;
  try {
    for (const extent of extents) {
      for (const axis of [0, 1] as const) {
        const found = await checkRows(device, extent, axis);
        failures.push(...found.failures);
        count += found.count;
      }
    }
  } finally {
    device.dispose();
  }
  report(device.info.description, count, failures);
}

Deno.test("edge values: rows with NaN and infinities at every place, on reference", async () =>
  await checkDevice(await requestDevice({ kind: "reference" }), [...EXTENTS, 67]));
Deno.test("edge values: rows with NaN and infinities at every place, on cpu", async () =>
  await checkDevice(await requestDevice({ kind: "cpu" }), [...EXTENTS, 67]));
Deno.test("edge values: rows with NaN and infinities at every place, on cpu without relaxed multiply-add", async () =>
  await checkDevice(await requestCpuDevice({ relaxed: false }), [...EXTENTS, 67]));
Deno.test("edge values: rows with NaN and infinities at every place, on webgpu", async () =>
  await checkDevice(await requestDevice({ kind: "webgpu" }), EXTENTS));
Deno.test("edge values: rows with NaN and infinities at every place, on webgpu with rows shared by invocations", async () => {
  using device = await requestWebGpuDevice({
    printer: (kernel, target) => printWgsl(kernel, { ...target, style: "gpu" }),
  });
  const { count, failures } = await checkRows(
    device,
    69,
    1,
    ROWS.filter(({ name }) => ["sum", "max", "min", "argmax"].includes(name)),
  );
  report("webgpu, style gpu", count, failures);
});

for (const kind of ["reference", "cpu", "webgpu"] as const) {
  Deno.test(`linearScan: the first factor is not read, whatever it is, on ${kind}`, async () => {
    const device = await requestDevice({ kind });
    const odd = [NaN, Infinity, -Infinity, 3],
      a = odd.flatMap((first) => [first, 2, -0.5]),
      b = odd.flatMap(() => [Infinity, 1, 4]);
    const failures: string[] = [];
    for (const reverse of [false, true]) {
      const scan = (x: Tensor, y: Tensor) => ops.linearScan(x, y, { axis: 1, reverse });
      const turned = (rows: readonly number[]) =>
        reverse ? odd.flatMap((_, i) => rows.slice(3 * i, 3 * i + 3).reverse()) : rows;
      const program = await compile(device, (x: Tensor, y: Tensor, w: Tensor) => {
        const gradients = grad((x: Tensor, y: Tensor) => ops.sum(ops.mul(ops.cast(w, "f32"), scan(x, y))), {
          argnums: [0, 1],
        });
        return [
          scan(x, y),
          ...gradients(x, y) as Tensor[],
          ops.linearScan(ops.cast(w, "i32"), ops.full([4, 3], 5, "i32"), { axis: 1, reverse }),
        ];
      }, [spec([4, 3]), spec([4, 3]), spec([4, 3])]);
      const [h, da, db, whole] = await program.run(turned(a), turned(b), turned(odd.flatMap(() => [Infinity, 1, 1])));
      const expect = (name: string, found: ArrayLike<number>, expected: readonly number[]) => {
        const all = turned(odd.flatMap(() => expected));
        if (Array.from(found).some((value, i) => !Object.is(value, all[i]) && value !== all[i])) {
          failures.push(`${name}, reverse ${reverse}: ${Array.from(found)}, expected ${all}`);
        }
      };
      expect("h", h.data, [Infinity, Infinity, -Infinity]);
      // Nothing comes before the first element, so its factor has no part in the result, even where what arrives is
      // infinite.
      expect("da", da.data, [0, Infinity, Infinity]);
      expect("db", db.data, [Infinity, 0.5, 1]);
      expect("integers", whole.data, [5, 10, 15]);
      program.dispose();
    }
    device.dispose();
    report(kind, 8, failures);
  });
}

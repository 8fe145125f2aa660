/** Kernels by themselves: products of many shapes, and what memory bounds. */
import type { Device, Tensor } from "@mneme/titans";
import { WebGpuDevice } from "../../../kernels/mod.ts";
import { add, linearScan, matmul, scatterAdd, sum, swapAxes } from "../../../ops/mod.ts";
import { type Computation, type Elements, load, random } from "../computation.ts";
import type { JobName } from "../contestant.ts";
import { JOBS } from "../jobs.ts";
import { ownJob } from "../own_jobs.ts";
import { arrayCopy, loopProduct } from "../yardsticks/host.ts";
import { elementwiseGelu, elementwiseSum, tiledProduct, tilesOf } from "../yardsticks/wgsl.ts";
import type { ProductShape, Yardstick } from "../yardsticks/yardstick.ts";
import type { Case } from "./case.ts";

/** f32 sums of up to 1024 products of normal numbers stay far inside. */
const TOLERANCE = 1e-5;

/** A computation that is made once, when it is first needed. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** A function of arrays as a case. */
function kernel(name: string, make: () => Computation, rest: Pick<Case, "yardsticks"> & Partial<Case>): Case {
  const computation = once(make);
  return {
    name,
    group: "kernels",
    tolerance: TOLERANCE,
    reads: 1,
    load: (device) => load(device, computation()),
    ...rest,
  };
}

function floats(elements: readonly Elements[]): Float32Array[] {
  return elements.map(({ data }) => data as Float32Array);
}

/** A product, against the same product by hand. */
function product(
  name: string,
  shape: ProductShape,
  transposed: { readonly lhs?: boolean; readonly rhs?: boolean } = {},
): Case {
  const { batch, m, n, k } = shape;
  const extents = (rows: number, columns: number): number[] => batch === 1 ? [rows, columns] : [batch, rows, columns];
  const computation = once((): Computation & { kind: "plain" } => ({
    kind: "plain",
    inputs: [
      random(transposed.lhs ? extents(k, m) : extents(m, k), 1, 1),
      random(transposed.rhs ? extents(n, k) : extents(k, n), 1, 2),
    ],
    fn: ([a, b]) => [matmul(transposed.lhs ? swapAxes(a, -1, -2) : a, transposed.rhs ? swapAxes(b, -1, -2) : b)],
  }));
  return kernel(name, computation, {
    flops: 2 * batch * m * n * k,
    yardsticks: (device) => {
      const [a, b] = floats(computation().inputs);
      const found = device instanceof WebGpuDevice
        ? tilesOf(shape).map((rows) => tiledProduct(device, [a, b], shape, rows))
        : [loopProduct(a, b, shape)];
      // By hand there is only the product of operands as they lie.
      const same = !transposed.lhs && !transposed.rhs;
      return Promise.resolve(found.map((yardstick) => same ? yardstick : { ...yardstick, read: undefined }));
    },
  });
}

const BANDWIDTH_SIZE = 2 ** 22;
const bandwidthInputs = once(() => floats([random([BANDWIDTH_SIZE], 1, 1), random([BANDWIDTH_SIZE], 1, 2)]));

/** What memory reaches: sums of two arrays by hand on WebGPU, and a copy on one thread of the processor. */
function bandwidth(device: Device): Promise<readonly Yardstick[]> {
  if (!(device instanceof WebGpuDevice)) return Promise.resolve([arrayCopy(BANDWIDTH_SIZE)]);
  return Promise.resolve(
    [1, 2, 4].map((quads) => ({ ...elementwiseSum(device, bandwidthInputs(), quads), read: undefined })),
  );
}

function memoryBound(
  name: string,
  inputs: () => readonly Elements[],
  fn: (inputs: readonly Tensor[]) => readonly Tensor[],
): Case {
  return kernel(name, () => ({ kind: "plain", inputs: inputs(), fn }), { yardsticks: bandwidth });
}

/** A job of the comparison that is one kernel or a few. */
function job(name: JobName, yardsticks: Case["yardsticks"]): Case {
  const { flops, bytes } = JOBS.find((job) => job.name === name)!;
  return kernel(name, () => ownJob(name), { flops, bytes, yardsticks });
}

function gelu(device: Device): Promise<readonly Yardstick[]> {
  if (!(device instanceof WebGpuDevice)) return bandwidth(device);
  const computation = ownJob("gelu(xw + b) + x, 4M");
  return Promise.resolve([1, 2, 4].map((quads) => elementwiseGelu(device, floats(computation.inputs), quads)));
}

const rows = (): Elements[] => [random([4096, 256], 1, 1)];

/** All kernels. */
export const KERNELS: readonly Case[] = [
  product("matmul 256^3", { batch: 1, m: 256, n: 256, k: 256 }),
  product("matmul 512^3", { batch: 1, m: 512, n: 512, k: 512 }),
  product("matmul 256 x 64^3", { batch: 256, m: 64, n: 64, k: 64 }),
  product("matmul 256 x (16x64x64)", { batch: 256, m: 16, n: 64, k: 64 }),
  product("matmul 64x256x1024", { batch: 1, m: 64, n: 256, k: 1024 }),
  product("matmul 64x1024x256", { batch: 1, m: 64, n: 1024, k: 256 }),
  product("matmul 512^3, lhs transposed", { batch: 1, m: 512, n: 512, k: 512 }, { lhs: true }),
  product("matmul 512^3, rhs transposed", { batch: 1, m: 512, n: 512, k: 512 }, { rhs: true }),
  {
    ...memoryBound(
      "add 4M",
      () => [random([BANDWIDTH_SIZE], 1, 1), random([BANDWIDTH_SIZE], 1, 2)],
      ([a, b]) => [add(a, b)],
    ),
    bytes: 12 * BANDWIDTH_SIZE,
    yardsticks: (device) =>
      device instanceof WebGpuDevice
        ? Promise.resolve([1, 2, 4].map((quads) => elementwiseSum(device, bandwidthInputs(), quads)))
        : Promise.resolve([arrayCopy(BANDWIDTH_SIZE)]),
  },
  memoryBound("add 64K", () => [random([2 ** 16], 1, 1), random([2 ** 16], 1, 2)], ([a, b]) => [add(a, b)]),
  job("gelu(xw + b) + x, 4M", gelu),
  job("softmax 4096 x 256", bandwidth),
  job("layer norm 4096 x 256, forward + backward", bandwidth),
  memoryBound("row sum 4096 x 256", rows, ([x]) => [sum(x, { axes: 1 })]),
  memoryBound("column sum 4096 x 256", rows, ([x]) => [sum(x, { axes: 0 })]),
  memoryBound("sum of 1M", () => [random([2 ** 20], 1, 1)], ([x]) => [sum(x)]),
  memoryBound("linear scan 8 x 512 x 256", scanned, ([a, b]) => [linearScan(a, b, { axis: 1 })]),
  memoryBound("scatter of 1024 rows of 256", scattered, ([table, at, rows]) => [scatterAdd(table, at, rows)]),
];

function scanned(): Elements[] {
  const factors = random([8, 512, 256], 0.2, 1);
  return [factors, random([8, 512, 256], 1, 2)];
}

function scattered(): Elements[] {
  const at = Int32Array.from({ length: 1024 }, (_, i) => (i * 97) % 256);
  return [random([256, 256], 1, 1), { shape: [1024], data: at }, random([1024, 256], 1, 2)];
}

/** Exponentials of differences to a maximum, which processors compute in fewer instructions than others. */
import { assert, assertEquals } from "@std/assert";
import { compile, spec, type Tensor } from "../../mod.ts";
import type { Device } from "../../kernels/mod.ts";
import { requestCpuDevice } from "../../kernels/mod.ts";
import { requestNativeDevice } from "../../kernels/devices/native/device.ts";
import { exp, max, maximum, sub } from "../../ops/mod.ts";
import { withFolder } from "../cli/scratch.ts";

const COLUMNS = 1027, ROWS = 5;

/** Differences to the maximum of a row; to that and a number, as where rows are read in blocks; and as they are. */
const exponentials = (x: Tensor, offset: Tensor, differences: Tensor): readonly Tensor[] => [
  exp(sub(x, max(x, { axis: 1, keepDims: true }))),
  exp(sub(x, maximum(max(x, { axis: 1, keepDims: true }), offset))),
  exp(differences),
];

async function check(device: Device): Promise<void> {
  const x = Float32Array.from({ length: ROWS * COLUMNS }, (_, at) => {
    const [row, column] = [Math.floor(at / COLUMNS), at % COLUMNS];
    // From the maximum of each row down, through subnormal results to what is 0.
    return row * 3 - column * 0.19;
  });
  x[COLUMNS + 7] = -Infinity;
  x[2 * COLUMNS + 9] = NaN;
  x[3 * COLUMNS + 11] = Infinity;
  const differences = x.map((value, at) => value - Math.floor(at / COLUMNS) * 3);
  using program = await compile(device, exponentials, [spec([ROWS, COLUMNS]), spec([]), spec([ROWS, COLUMNS])]);
  const [own, far, plain] = (await program.run(x, Float32Array.of(20), differences)).map(({ data }) =>
    data as Float32Array
  );
  for (let at = 0; at < x.length; at++) {
    const row = Math.floor(at / COLUMNS), what = `${device.info.kind}: of ${x[at]} in row ${row}`;
    // A row with NaN has no maximum, and of infinity it is infinite.
    if (row === 2) assert(Number.isNaN(own[at]) && Number.isNaN(far[at]), what);
    else if (row === 3) assertEquals([own[at], far[at]], x[at] === Infinity ? [NaN, NaN] : [0, 0], what);
    else {
      // The same bits as of any exponential, but for 0 in place of what is smaller than normal.
      if (plain[at] >= 2 ** -126) assertEquals(own[at], plain[at], what);
      else assert(own[at] === plain[at] || own[at] === 0, `${what}: ${own[at]}`);
      const wanted = Math.exp(Math.fround(x[at] - 20));
      assert(
        Math.abs(far[at] - wanted) <= Math.max(2 ** -126, 2 ** -23 * wanted),
        `${what}: ${far[at]}, not ${wanted}`,
      );
    }
  }
  assertEquals([own[COLUMNS + 7], own[0], own[COLUMNS]], [0, 1, 1]);
}

Deno.test("cpu: exponentials of differences to a maximum have the bits of others", async () => {
  using device = await requestCpuDevice({ threads: 1 });
  await check(device);
});

Deno.test("native: exponentials of differences to a maximum have the bits of others", () =>
  withFolder(async (cacheDirectory) => {
    using device = await requestNativeDevice({ cacheDirectory, threads: 1 });
    await check(device);
  }));

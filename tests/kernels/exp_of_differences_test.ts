/** Exponentials of differences to a maximum, as in softmax, which processors compute in fewer instructions than others. */
import { assert, assertEquals } from "@std/assert";
import { compile, spec, type Tensor } from "../../mod.ts";
import type { Device } from "../../kernels/mod.ts";
import { requestCpuDevice } from "../../kernels/mod.ts";
import { requestNativeDevice } from "../../kernels/devices/native/device.ts";
import { div, exp, max, maximum, sub, sum } from "../../ops/mod.ts";
import { withFolder } from "../cli/scratch.ts";

const COLUMNS = 1021, ROWS = 5, OFFSET = 20, OVER_ROW = { axis: 1, keepDims: true } as const;

function normalized(exponentials: Tensor): Tensor {
  return div(exponentials, sum(exponentials, OVER_ROW));
}

/** Softmax with the maximum of each row, and with a greater one, as where rows are read in blocks. */
const functions = [
  (x: Tensor) => normalized(exp(sub(x, max(x, OVER_ROW)))),
  (x: Tensor) => normalized(exp(sub(x, maximum(max(x, OVER_ROW), OFFSET)))),
];

async function check(device: Device): Promise<void> {
  // From the maximum of each row down, through exponentials that are subnormal to what is 0.
  const x = Float32Array.from(
    { length: ROWS * COLUMNS },
    (_, at) => 3 * Math.floor(at / COLUMNS) - at % COLUMNS * 0.19,
  );
  x[COLUMNS + 7] = -Infinity;
  x[2 * COLUMNS + 9] = NaN;
  x[3 * COLUMNS + 11] = Infinity;
  for (const [form, fn] of functions.entries()) {
    using program = await compile(device, fn, [spec([ROWS, COLUMNS])]);
    // In a kernel of its own the exponential would not know that it is one of a difference.
    assertEquals(program.explain().kernels.length, 1);
    const { data } = await program.run(x);
    for (let row = 0; row < ROWS; row++) {
      const found = data.subarray(row * COLUMNS, (row + 1) * COLUMNS);
      if (row === 2 || row === 3) {
        assert(found.every((value, at) => Number.isNaN(value) || (row === 3 && at !== 11 && value === 0)));
        assert(Number.isNaN(found[row === 2 ? 9 : 11]));
        continue;
      }
      const most = form === 0 ? 3 * row : OFFSET;
      const wanted = Array.from(found, (_, at) => Math.exp(Math.fround(x[row * COLUMNS + at] - most)));
      const total = wanted.reduce((sum, value) => sum + value, 0);
      for (const [at, exponential] of wanted.entries()) {
        const off = Math.abs(found[at] - exponential / total), least = 2 ** -126 / total;
        assert(off <= 1e-6 * exponential / total + least, `${device.info.kind}: ${found[at]} at ${row}, ${at}`);
      }
      // The sum is in another order here, so that quotients tell more: those of neighbours have no error but their own.
      for (let at = 1; at < COLUMNS; at++) {
        if (wanted[at] < 2 ** -125 || wanted[at - 1] === 0) continue;
        const ratio = found[at] / found[at - 1] * wanted[at - 1] / wanted[at];
        assert(Math.abs(ratio - 1) < 4e-7, `${device.info.kind}: at ${row}, ${at} the quotient is off by ${ratio - 1}`);
      }
    }
  }
}

Deno.test("cpu: exponentials of differences to a maximum are those of softmax in 64 bits", async () => {
  using device = await requestCpuDevice({ threads: 1 });
  await check(device);
});

Deno.test("native: exponentials of differences to a maximum are those of softmax in 64 bits", () =>
  withFolder(async (cacheDirectory) => {
    using device = await requestNativeDevice({ cacheDirectory, threads: 1 });
    await check(device);
  }));

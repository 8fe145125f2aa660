/** Floats of 16 bits on all devices: their rounding to the last bit, and kernels of every kind that load and store them. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Half } from "../../core/dtype.ts";
import { DTypeError } from "../../core/errors.ts";
import { grad } from "../../core/grad.ts";
import { apply, type Tensor } from "../../core/graph.ts";
import { fromHalfBits, halfBits, roundToHalf } from "../../core/half.ts";
import { scan } from "../../core/scan.ts";
import { type Spec, spec, trace } from "../../core/trace.ts";
import { compile } from "../../kernels/compile.ts";
import type { Device } from "../../kernels/device.ts";
import { requestNativeDevice } from "../../kernels/devices/native/device.ts";
import { NATIVE_CACHE } from "./native_tests.ts";
import { bindAtMost, openFinely } from "./short_bindings.ts";
import { WebGpuDevice } from "../../kernels/devices/webgpu/device.ts";
import { requestCpuDevice } from "../../kernels/devices/wasm/device.ts";
import { requestDevice } from "../../kernels/request_device.ts";
import * as ops from "../../ops/mod.ts";
import { randn, uniformGenerator } from "../numeric.ts";

const HALVES: readonly Half[] = ["bf16", "f16"];

/** Numbers at and beside everything that rounding treats in its own way. */
function specialNumbers(): Float32Array<ArrayBuffer> {
  const words = [0, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0xff800001, 0x7f7fffff, 1, 0x00800000];
  // Powers of two around the least and the greatest f16, ties between neighbours, and what is just beside them.
  for (let exponent = 100; exponent <= 145; exponent++) {
    for (
      const rest of [0, 0x1000, 0xfff, 0x1001, 0x3000, 0x8000, 0x7fff, 0x8001, 0x18000, 0x7ff000, 0x7fefff, 0x7fffff]
    ) {
      words.push((exponent << 23) | rest, 0x80000000 | (exponent << 23) | rest);
    }
  }
  const next = uniformGenerator(3);
  while (words.length % 4 !== 1 || words.length < 2000) words.push(next() * 2 ** 32);
  // Without what devices may flush to zero.
  return new Float32Array(
    Uint32Array.from(words, (word) => (word & 0x7f800000) === 0 ? word & 0x80000000 : word).buffer,
  );
}

Deno.test("half floats: the host rounds to the nearest, of two to the even one, and a double once", () => {
  assertEquals([1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -40].map((x) => roundToHalf("bf16", x)), [
    1,
    1,
    1 + 2 ** -6,
    1 + 2 ** -7,
  ]);
  assertEquals(roundToHalf("bf16", 3.4e38), Infinity);
  assertEquals(roundToHalf("bf16", NaN), NaN);
  for (const dtype of HALVES) {
    const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits), values = fromHalfBits(dtype, all);
    const again = halfBits(dtype, values);
    assert(all.every((bits, at) => again[at] === bits || Number.isNaN(values[at])), dtype);
    const half = Math.fround(values[0x3f81] + values[0x3f82]) / 2;
    assertEquals(roundToHalf(dtype, half), values[0x3f82], `${dtype}: a tie goes to the even one`);
  }
});

/** What each device must do alike: kernels of every kind on floats of 16 bits, in sizes odd and even. */
function everything(x: Tensor, odd: Tensor, ids: Tensor): Record<string, Tensor> {
  const { dtype } = x, wide = ops.cast(x, "f32"); // [8, 12], [5, 7]
  const stepped = scan(
    (carry: Tensor, row: Tensor) => [ops.add(ops.mul(carry, 0.5), row), ops.tanh(carry)] as const,
    ops.zeros([12], dtype),
    x,
  );
  return {
    sums: ops.sum(ops.mul(x, x), { axes: [1] }),
    all: ops.sum(x),
    softmax: ops.softmax(odd),
    product: ops.matmul(x, ops.transpose(x)),
    oddProduct: ops.matmul(ops.transpose(odd), odd),
    mixed: ops.cast(ops.matmul(wide, ops.transpose(wide)), dtype),
    moved: ops.concat([ops.transpose(odd), ops.slice(ops.transpose(x), [0, 0], [7, 5])], 1),
    reversed: ops.flip(odd, 1),
    gathered: ops.gather(odd, ids),
    scattered: ops.scatterAdd(odd, ids, ops.gather(odd, ids)),
    scanned: ops.linearScan(ops.sigmoid(odd), odd, { axis: 0 }),
    carry: stepped[0],
    ys: stepped[1],
    gradient: grad((t: Tensor) => ops.sum(ops.square(ops.gelu(ops.matmul(t, ops.transpose(t))))))(odd),
    integers: ops.cast(ops.mul(odd, 8), "i32"),
    truth: ops.greater(odd, 0),
  };
}

/** Computes with floats of 16 bits on a device and on the reference. */
async function checkEverything(name: string, device: Device, reference: Device): Promise<void> {
  for (const dtype of HALVES) {
    const types: [Spec, Spec, Spec] = [spec([8, 12], dtype), spec([5, 7], dtype), spec([4], "i32")];
    const held = (values: Float32Array) => fromHalfBits(dtype, halfBits(dtype, values));
    const args = [held(randn(96, 1, 1)), held(randn(35, 1, 2)), Int32Array.of(3, 1, 3, 9)] as const;
    const [found, wanted] = await Promise.all(
      [device, reference].map(async (on) => await (await compile(on, everything, types)).run(...args)),
    );
    const unit = dtype === "f16" ? 2 ** -11 : 2 ** -8;
    for (const [key, { data, dtype: type }] of Object.entries(found)) {
      const expected = wanted[key];
      assertEquals(type, expected.dtype, key);
      const scale = expected.data.reduce((most: number, x: number) => Math.max(most, Math.abs(x) || 0), 0);
      for (let i = 0; i < data.length; i++) {
        const [x, y] = [data[i], expected.data[i]];
        // The gradient and the loop round at every step.
        const allowed = (/gradient/.test(key) ? 8 : 3) * unit * scale;
        assert(Object.is(x, y) || Math.abs(x - y) <= allowed, `${name} ${dtype} ${key}[${i}] is ${x}, not ${y}`);
      }
    }
  }
}

const OPEN: Readonly<Record<string, () => Promise<Device>>> = {
  cpu: () => requestCpuDevice({ threads: 2, poison: true }),
  native: () => requestNativeDevice({ threads: 2, minParallel: 0, poison: true, cacheDirectory: NATIVE_CACHE }),
  webgpu: () => openFinely({ poison: true }),
};

for (const [name, open] of Object.entries(OPEN)) {
  Deno.test(`${name}: rounds to 16 bits as the host does, and computes with them in f32`, async () => {
    const device = await open(), reference = await requestDevice({ kind: "reference" });
    const numbers = specialNumbers(), size = [numbers.length];
    const rounding = await compile(
      device,
      (x: Tensor) => HALVES.map((dtype) => ({ half: ops.cast(x, dtype), wide: ops.cast(ops.cast(x, dtype), "f32") })),
      [spec(size)],
    );
    const rounded = await rounding.run(numbers);
    HALVES.forEach((dtype, at) => {
      const wanted = fromHalfBits(dtype, halfBits(dtype, numbers));
      for (const { data } of [rounded[at].half, rounded[at].wide]) {
        wanted.forEach((value, i) =>
          assert(
            Object.is(data[i], value),
            `${name}: ${dtype} of ${numbers[i]} (element ${i}) is ${data[i]}, not ${value}`,
          )
        );
      }
    });
    await checkEverything(name, device, reference);
    if (device instanceof WebGpuDevice) {
      bindAtMost(device, 64);
      await checkEverything(`${name} in pieces`, device, reference);
    }
    device.dispose();
    reference.dispose();
  });
}

Deno.test("half floats: additions in place are made in f32, for each would be rounded", () => {
  const { graph } = trace(
    (x: Tensor, ids: Tensor) => ops.scatterAdd(x, ids, ops.gather(x, ids)),
    [spec([3], "bf16"), spec([1], "i32")],
  );
  const scatter = graph.nodes.find(({ op }) => op.kind === "scatter")!;
  assertEquals(scatter.inputs.map(({ dtype }) => dtype), ["f32", "i32", "f32"]);
  assertThrows(
    () =>
      trace((x: Tensor, ids: Tensor) => apply(scatter.op, [x, ids, x], scatter.attrs), [
        spec([3], "bf16"),
        spec([3], "i32"),
      ]),
    DTypeError,
    "each sum would be rounded",
  );
});

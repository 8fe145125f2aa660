/** What no device can hold, and dtypes that there are not: one line that says what, and what to do. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import type { DType } from "../../core/dtype.ts";
import { DeviceError, DTypeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/graph.ts";
import { Spec, spec, trace } from "../../core/trace.ts";
import { compile, requestDevice } from "../../kernels/mod.ts";
import {
  arange,
  broadcastTo,
  cast,
  constant,
  cumsum,
  full,
  iota,
  matmul,
  oneHot,
  ones,
  reshape,
  sum,
  zeros,
  zerosLike,
} from "../../ops/mod.ts";

const KINDS = ["reference", "cpu", "webgpu"] as const;

Deno.test("a tensor that is larger than a device can hold is refused in one line, with its bytes", async () => {
  const n = 65536;
  const programs: Record<string, (x: Tensor) => Tensor> = {
    "an output": (x) => broadcastTo(x, [n, n]),
    "a product": (x) => matmul(broadcastTo(reshape(x, [1, 1]), [n, 1]), broadcastTo(reshape(x, [1, 1]), [1, n])),
    "an intermediate value": (x) => sum(cumsum(broadcastTo(x, [n, n]), { axis: 0 }), { axes: 1 }),
  };
  for (const kind of KINDS) {
    const device = await requestDevice({ kind });
    for (const [name, fn] of Object.entries(programs)) {
      const run = async () => (await compile(device, fn, [spec([1])])).run([1]);
      const error = await assertRejects(run, DeviceError, undefined, `${name} on ${kind}`);
      assert(error.reason === "out-of-memory" || error.reason === "limit", error.reason);
      assert(!error.message.includes("\n"));
      for (
        const part of [`f32[${n}, ${n}]`, kind === "reference" ? "32768 MiB" : "16384 MiB"]
      ) {
        assertStringIncludes(error.message, part, `${name} on ${kind}`);
      }
      // What is returned cannot be computed in parts by whoever called; the reference does not say which tensor it is.
      const isResult = kind !== "reference" && name !== "an intermediate value";
      const remedy = isResult ? "; it is a result: split it into several" : "; use a smaller batch or sequence";
      assertStringIncludes(error.message, remedy, `${name} on ${kind}`);
    }
    device.dispose();
  }
});

Deno.test("a dtype that there is not is refused wherever one comes in", async () => {
  const inside = (fn: (x: Tensor, wrong: DType) => unknown, wrong: DType) => () =>
    trace((x: Tensor) => fn(x, wrong), [spec([2])]);
  const device = await requestDevice({ kind: "reference" });
  for (const wrong of ["f64", "float32", "", "toString", 7, null] as unknown as DType[]) {
    const uses: Record<string, () => unknown> = {
      spec: () => spec([1], wrong),
      Spec: () => trace((x: Tensor) => x, [new Spec([1], wrong)]),
      cast: inside((x, dtype) => cast(x, dtype), wrong),
      iota: inside((_, dtype) => iota([2], 0, dtype), wrong),
      arange: inside((_, dtype) => arange(2, dtype), wrong),
      full: inside((_, dtype) => full([2], 1, dtype), wrong),
      zeros: inside((_, dtype) => zeros([2], dtype), wrong),
      ones: inside((_, dtype) => ones([2], dtype), wrong),
      zerosLike: inside((_, dtype) => zerosLike({ shape: [2], dtype }), wrong),
      constant: inside((_, dtype) => constant([1, 2], [2], dtype), wrong),
      oneHot: inside((_, dtype) => oneHot(arange(2), 3, { dtype }), wrong),
      upload: () => device.upload(new Float32Array(1), { shape: [1], dtype: wrong }),
    };
    for (const [name, use] of Object.entries(uses)) {
      if (wrong === null && name === "oneHot") continue; // Null is an option that is not given.
      assertThrows(
        use,
        DTypeError,
        "is not a dtype; use f32, f16, bf16, i32, u32 or bool",
        `${name} of ${JSON.stringify(wrong)}`,
      );
    }
  }
  assertThrows(
    () => spec([2, 3], "f64" as DType),
    DTypeError,
    'Cannot make a spec of shape [2, 3]: "f64" is not a dtype; use f32, f16, bf16, i32, u32 or bool',
  );
  assertEquals(spec([1]).dtype, "f32");
  device.dispose();
});

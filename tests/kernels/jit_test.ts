import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { CompileError, DeviceError, DTypeError, OptionError, ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/graph.ts";
import { type Device, jit, ReferenceDevice, requestDevice } from "../../kernels/mod.ts";
import { add, cast, gather, matmul, mul, sub, sum, where } from "../../ops/mod.ts";

/** A device that counts what it loads, slowly. */
class SlowDevice extends ReferenceDevice {
  loads = 0;
  override async load(...args: Parameters<ReferenceDevice["load"]>): ReturnType<ReferenceDevice["load"]> {
    this.loads++;
    await new Promise((resolve) => setTimeout(resolve, 5));
    return super.load(...args);
  }
}

Deno.test("jit: types come from the arguments, each once", async () => {
  const device = new SlowDevice();
  const types: string[] = [];
  using typed = jit(device, (x: Tensor | Record<string, Tensor> | Tensor[]) => {
    const leaves = x instanceof Array ? x : "shape" in x ? [x as Tensor] : Object.values(x);
    types.push(leaves.map(({ dtype, shape }) => `${dtype}[${shape}]`).join(" "));
    return leaves;
  });
  const result = (await typed([[1, 2, 3], [4, 5, 6]])) as { toNested(): unknown }[];
  assertEquals(result[0].toNested(), [[1, 2, 3], [4, 5, 6]]);
  await typed(7);
  await typed(true);
  await typed([true, false]);
  await typed(Float32Array.of(1, 2));
  await typed(Float64Array.of(1, 2));
  await typed([3, 4]);
  await typed(Int32Array.of(1));
  await typed(Uint32Array.of(1));
  await typed({ b: [1], a: [[2]] });
  await typed({ a: [[9]], b: [8] });
  await typed([Float32Array.of(1), [[1]]]);
  await typed({ data: Int32Array.of(1, 2), shape: [1, 2], dtype: "i32" });
  assertEquals(types, [
    "f32[2,3]",
    "f32[]",
    "bool[]",
    "bool[2]",
    "f32[2]",
    "i32[1]",
    "u32[1]",
    "f32[1,1] f32[1]",
    "f32[1] f32[1,1]",
    "i32[1,2]",
  ]);
  assertEquals([typed.programCount, device.loads], [types.length, types.length]);
});

Deno.test("jit: calls that come together compile once, and each gets its own result", async () => {
  const device = new SlowDevice();
  using double = jit(device, (x: Tensor) => mul(x, 2));
  const results = await Promise.all([double([1, 2]), double([3, 4]), double(5), double(6)]);
  assertEquals(results.map((result) => result.toNested()), [[2, 4], [6, 8], 10, 12]);
  assertEquals([device.loads, double.programCount], [2, 2]);
});

Deno.test("jit: static arguments are compared by value, functions by identity", async () => {
  const device = new SlowDevice();
  const plus = (x: Tensor, y: number): Tensor => add(x, y), minus = (x: Tensor, y: number): Tensor => sub(x, y);
  using apply = jit(
    device,
    (op: typeof plus, x: Tensor, { times, by }: { times: number; by: number[] }) => {
      for (let i = 0; i < times; i++) x = op(x, by[i]);
      return x;
    },
    { staticArguments: [0, 2] },
  );
  assertEquals((await apply(plus, 1, { times: 2, by: [3, 4] })).item(), 8);
  assertEquals((await apply(plus, 10, { by: [3, 4], times: 2 })).item(), 17);
  assertEquals(device.loads, 1);
  assertEquals((await apply(minus, 1, { times: 2, by: [3, 4] })).item(), -6);
  assertEquals((await apply(plus, 1, { times: 2, by: [3, -4] })).item(), 0);
  assertEquals(device.loads, 3);
  const error = await assertRejects(
    () => apply(plus, 1, new Map() as unknown as { times: number; by: number[] }),
    CompileError,
  );
  assertEquals(
    error.message,
    "Cannot use a Map as static argument 2: static arguments are compared by value, so they are numbers, texts, truth values, functions, and records and lists of these",
  );
});

for (const kind of ["cpu", "webgpu"] as const) {
  Deno.test(`jit on ${kind}: results stay on the device, are arguments again, and may be donated`, async () => {
    using device: Device = await requestDevice({ kind });
    using step = jit(device, ({ x, n }: { x: Tensor; n: Tensor }, by: Tensor) => ({ x: add(x, by), n: add(n, 1) }), {
      donate: [0],
    });
    let state = await step.launch({ x: [[1, 2], [3, 4]], n: Int32Array.of(0) }, [10, 20]);
    for (let i = 0; i < 3; i++) state = await step.launch(state, [10, 20]);
    const held = state;
    const { x, n } = await step(state, [10, 20]);
    assertEquals([x.toNested(), n.item()], [[[51, 102], [53, 104]], 5]);
    assertEquals(step.programCount, 1);
    await assertRejects(() => step(held, [10, 20]), DeviceError, "donated");
    assert((await step.programFor({ x: [[1, 2], [3, 4]], n: Int32Array.of(0) }, [10, 20])).peakBytes > 0);
    assertEquals(step.programCount, 1);
  });
}

Deno.test("jit: errors name the argument, and a call that failed may be made again", async () => {
  using device = new ReferenceDevice();
  let broken = true;
  using fn = jit(device, (x: Tensor, y: { rows: Tensor[] }) => {
    if (broken) throw new CompileError("not yet");
    return matmul(x, y.rows[0]);
  });
  const message = async (kind: new (message: string) => Error, call: () => Promise<unknown>) =>
    (await assertRejects(call, kind)).message;
  assertEquals(await message(CompileError, () => fn([[1, 2]], { rows: [Float32Array.of(1), 2] })), "not yet");
  assertEquals(fn.programCount, 0);
  broken = false;
  assertEquals(
    (await fn([[1, 2]], { rows: [{ data: Float32Array.of(3, 4), shape: [2, 1], dtype: "f32" }] })).item(),
    11,
  );
  assertEquals(
    await message(
      ShapeError,
      () => fn([[1, 2]], { rows: [{ data: Float32Array.of(3), shape: [1, 1], dtype: "f32" }] }),
    ),
    "Cannot multiply lhs f32[1, 2] by rhs f32[1, 1]: inner axes must be equal, lhs axis 1 is 2 and rhs axis 0 is 1",
  );
  assertEquals(
    await message(ShapeError, () => fn([[1, 2], [3]], { rows: [] })),
    "Cannot run with a ragged list: argument 0[1] is a list of 1, and what stands before it there are lists of 2",
  );
  assertEquals(
    await message(DTypeError, () => fn(1, { rows: [Float32Array.of(1), "a" as unknown as number] })),
    "Cannot run with a string as argument 1.rows[1]: tensors come as numbers, lists, Float32Array, Int32Array, Uint32Array, results or device arrays; other values must be named in staticArguments",
  );
  assertThrows(() => jit(device, sum, { static: [1] } as never), OptionError, "did you mean staticArguments");
  assertThrows(() => jit(device, sum, { maxPrograms: 0 }), CompileError, "0 as maxPrograms");
});

Deno.test("jit: programs without end are an error that says which argument keeps changing", async () => {
  using device = new ReferenceDevice();
  const total = (x: Tensor, _scale: Tensor): Tensor => sum(x);
  using fn = jit(device, total, { maxPrograms: 4 });
  for (let n = 1; n <= 4; n++) await fn(new Float32Array(n), 1);
  const { message } = await assertRejects(() => fn(new Float32Array(9), 1), CompileError);
  assertEquals(
    message,
    "Cannot compile total for types that are new again: there are 4 programs of it, since argument 0 came as f32[1], f32[2], f32[3] and 2 more; pad to a few shapes, pass what changes as a tensor, or set maxPrograms",
  );
  assertEquals((await fn(Float32Array.of(1, 2), 1)).item(), 3);
});

Deno.test("jit: dispose frees what is there and what is on its way", async () => {
  using device = new SlowDevice();
  const fn = jit(device, (x: Tensor, at: Tensor) => where(cast(at, "bool"), gather(x, at), 0));
  await fn([1, 2], Int32Array.of(1));
  const late = fn([1, 2, 3], Int32Array.of(1));
  fn.dispose();
  await assertRejects(() => late, DeviceError, "disposed");
  await assertRejects(() => fn([1, 2], Int32Array.of(1)), DeviceError, "its programs were disposed");
});

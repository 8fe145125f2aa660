import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DTypeError, ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/graph.ts";
import { spec, trace } from "../../core/trace.ts";
import { compile, type NestedList, requestDevice } from "../../mod.ts";
import { add, constant, equal, mul } from "../../ops/mod.ts";

Deno.test("nested lists are arguments, and results nest again", async () => {
  using device = await requestDevice({ kind: "cpu" });
  using program = await compile(
    device,
    (x: Tensor, i: Tensor, b: Tensor) => ({
      x: mul(x, 2),
      i: add(i, 1),
      same: equal(x, 3),
      b,
      none: constant([[], []]),
    }),
    [spec([2, 3]), spec([1, 1, 2], "i32"), spec([2, 1], "bool")],
  );
  const { x, i, same, b, none } = await program.run([[1, 2, 3], [4, 5, 6]], [[[7, -8]]], [[true], [false]]);
  assertEquals(x.toNested(), [[2, 4, 6], [8, 10, 12]]);
  assertEquals(i.toNested(), [[[8, -7]]]);
  assertEquals(same.toNested(), [[false, false, true], [false, false, false]]);
  assertEquals(b.toNested(), [[true], [false]]);
  assertEquals(none.toNested(), [[], []]);
  assertEquals(Object.keys(x), ["data", "shape", "dtype"]);
  assertEquals(
    assertThrows(() => x.item(), ShapeError).message,
    "Cannot take the one element of f32[2, 3]: it has 6; use data or toNested()",
  );
});

Deno.test("a scalar is one number: as an argument, as a result", async () => {
  using device = await requestDevice({ kind: "reference" });
  using program = await compile(device, (x: Tensor, b: Tensor) => [mul(x, 2), b], [spec([]), spec([], "bool")]);
  const [x, b] = await program.run(21, true);
  assertEquals([x.item(), x.toNested(), b.item(), b.toNested()], [42, 42, 1, true]);
});

Deno.test("nested lists that do not fit are one line that names the place", async () => {
  using device = await requestDevice({ kind: "reference" });
  using program = await compile(device, (tree: { x: Tensor; i: Tensor }) => tree, [{
    x: spec([2, 2]),
    i: spec([1, 2], "i32"),
  }]);
  const message = async (x: unknown, i: unknown, kind: new (message: string) => Error) =>
    (await assertRejects(() => program.run({ x: x as number[], i: i as number[] }), kind)).message;
  const x = [[1, 2], [3, 4]], i = [[1, 2]];
  assertEquals(
    await message([[1, 2], [3]], i, ShapeError),
    "Cannot run with a ragged list: argument 0.x[1] is a list of 1, and what stands before it there are lists of 2",
  );
  assertEquals(
    await message([[1, 2], 3], i, ShapeError),
    "Cannot run with a ragged list: argument 0.x[1] is 3, and what stands before it there are lists of 2",
  );
  assertEquals(
    await message([[1, [2]], [3, 4]], i, ShapeError),
    "Cannot run with a ragged list: argument 0.x[0][1] is a list, and what stands before it there are numbers",
  );
  assertEquals(
    await message([[1, 2, 3]], i, ShapeError),
    "Cannot run with a list as argument 0.x: the program expects f32[2, 2], and shapes [1, 3] and [2, 2] differ",
  );
  assertEquals(
    await message([[1, "a"], [3, 4]], i, DTypeError),
    "Cannot run with a string as argument 0.x[0][1]: lists hold numbers or truth values",
  );
  assertEquals(
    await message(x, [[1, 2.5]], DTypeError),
    "Cannot run with 2.5 as argument 0.i[0][1]: the program expects i32, integers from -2147483648 to 2147483647",
  );
});

Deno.test("constants take nested lists, with their shape and dtype", () => {
  const types = (...lists: NestedList[]): string[] =>
    trace(() => lists.map((list) => constant(list)), []).graph.outputs.map(({ dtype, shape }) => `${dtype} [${shape}]`);
  assertEquals(types([[1, 2, 3], [4, 5, 6]], [1, 2], [[true], [false]], [true, 0]), [
    "f32 [2,3]",
    "f32 [2]",
    "bool [2,1]",
    "f32 [2]",
  ]);
  const fails = (fn: () => Tensor, text: string) => assertThrows(() => trace(fn, []), ShapeError, text);
  fails(() => constant([[1, 2], [3]]), "Cannot make a constant of a ragged list: data[1] is a list of 1");
  fails(() => constant([[1, 2], [3, 4]], [4]), "their shape is [2, 2]; leave the shape out");
});

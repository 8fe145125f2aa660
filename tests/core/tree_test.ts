import { assertEquals, assertThrows } from "@std/assert";
import { flatten, leafCount, mapLeaves, sameTree, unflatten } from "../../core/tree.ts";

const isNumber = (value: unknown): value is number => typeof value === "number";

Deno.test("trees flatten in key order and come back", () => {
  const tree = { b: [1, { z: 2, a: 3 }], a: 4 };
  const { leaves, paths, spec } = flatten(tree, isNumber);
  assertEquals(leaves, [4, 1, 3, 2]);
  assertEquals(paths, ["a", "b[0]", "b[1].a", "b[1].z"]);
  assertEquals(unflatten(spec, leaves), tree);
  assertEquals(leafCount(spec), 4);
});

Deno.test("the order in which keys are written does not matter", () => {
  assertEquals(sameTree(flatten({ a: 1, b: 2 }, isNumber).spec, flatten({ b: 1, a: 2 }, isNumber).spec), true);
  assertEquals(sameTree(flatten({ a: 1 }, isNumber).spec, flatten([1], isNumber).spec), false);
});

Deno.test("mapLeaves keeps the structure", () => {
  assertEquals(mapLeaves({ a: [1, 2], b: 3 }, isNumber, (x, path) => `${path}=${x}`), {
    a: ["a[0]=1", "a[1]=2"],
    b: "b=3",
  });
});

Deno.test("what is neither leaf nor container is named with its place", () => {
  assertThrows(
    () => flatten({ a: [1, "x"] }, isNumber, "an argument"),
    Error,
    "Cannot use string as an argument at a[1]",
  );
  assertThrows(() => flatten({ a: new Date() }, isNumber), Error, "Cannot use Date as value at a");
  assertThrows(() => flatten(null, isNumber), Error, "Cannot use null");
});

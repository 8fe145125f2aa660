import { assertEquals } from "@std/assert";
import { asCalled } from "../../cli/program.ts";

Deno.test("program: the executable's user reads its name where others read tasks, but for what stays a task", () => {
  const text = "train a model with deno task train; benchmarks: deno task bench";
  assertEquals(asCalled(text, true), "train a model with mneme train; benchmarks: deno task bench");
  assertEquals(asCalled(text, false), text);
  assertEquals(asCalled(text), text);
});

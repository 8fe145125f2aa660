import { assert, assertEquals } from "@std/assert";
import { countsOf, diedWhileUnloading, environmentOf, LONGEST, longestOf, testFiles } from "./run.ts";

Deno.test("test run: counts are those of Deno's summary, without colours and steps", () => {
  const output = "noise 7 failed\n\x1b[0m\x1b[32mok\x1b[0m | 84 passed (3 steps) | 0 failed | 2 ignored (1m2s)\n";
  assertEquals(countsOf(output, 0), { passed: 84, failed: 0, ignored: 2 });
  assertEquals(countsOf("FAILED | 3 passed | 2 failed (5s)\n\nerror: Test failed\n", 1), {
    passed: 3,
    failed: 2,
    ignored: 0,
  });
});

Deno.test("test run: a process that dies, or that says nothing, is a failure", () => {
  assertEquals(countsOf("ok | 3 passed | 0 failed (5s)\n", 134), { passed: 3, failed: 1, ignored: 0 });
  assertEquals(countsOf("error: module not found", 1), { passed: 0, failed: 1, ignored: 0 });
  assertEquals(countsOf("", 0), { passed: 0, failed: 1, ignored: 0 });
});

Deno.test("test run: only a signal after all tests have passed is a driver that dies while it is unloaded", () => {
  const passed = "ok | 3 passed | 0 failed (5s)\n",
    failed = "FAILED | 3 passed | 1 failed (5s)\n",
    ignored = "ok | 3 passed | 0 failed | 1 ignored (5s)\n";
  assertEquals(diedWhileUnloading({ code: 134, signal: "SIGABRT", output: passed }), true);
  assertEquals(diedWhileUnloading({ code: 139, signal: "SIGSEGV", output: failed }), false);
  assertEquals(diedWhileUnloading({ code: 139, signal: "SIGSEGV", output: ignored }), false);
  assertEquals(diedWhileUnloading({ code: 139, signal: "SIGSEGV", output: "running 3 tests\n" }), false);
  assertEquals(diedWhileUnloading({ code: 1, signal: null, output: passed }), false);
  assertEquals(diedWhileUnloading({ code: 0, signal: null, output: passed }), false);
});

Deno.test("test run: finds every test file once, and the longest are there", async () => {
  const files = await testFiles("tests");
  assertEquals(new Set(files).size, files.length);
  assert(files.includes("tests/run_test.ts") && files.includes("tests/cli/data/corpus_test.ts"));
  assertEquals(files.slice(0, LONGEST.length), LONGEST);
});

Deno.test("test run: the software driver optimizes the shaders of tests of operations, and no others", async () => {
  const optimized = (await testFiles("tests")).filter((file) => environmentOf(file).GALLIVM_PERF === undefined);
  const folders = new Set(optimized.map((file) => file.slice(0, file.lastIndexOf("/"))));
  assertEquals([...folders].sort(), ["tests/fuzz", "tests/kernels", "tests/numerics", "tests/op_suites"]);
});

Deno.test("test run: shaders that are compiled otherwise than Mesa's cache tells apart have a cache of their own", async () => {
  for (const file of await testFiles("tests")) {
    const { LP_NATIVE_VECTOR_WIDTH: width, MESA_SHADER_CACHE_DIR: folder } = environmentOf(file);
    assertEquals(folder, width === undefined ? undefined : `${Deno.cwd()}/.scratch`, file);
  }
});

Deno.test("test run: the files that took longest are named in order", () => {
  const counts = { passed: 1, failed: 0, ignored: 0 };
  const results = [["a", 1.2], ["b", 30.4], ["c", 7.8]].map(([file, seconds]) => ({
    file: String(file),
    seconds: Number(seconds),
    ...counts,
  }));
  assertEquals(longestOf(results, 2), "b 30 s, c 8 s");
});

import { assert, assertEquals, assertMatch } from "@std/assert";

async function deno(
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args,
    env: { NO_COLOR: "1" },
  }).output();
  return {
    code,
    stdout: new TextDecoder().decode(stdout),
    stderr: new TextDecoder().decode(stderr),
  };
}

Deno.test("consumer: a project that names the package through a link type-checks under strict settings, and runs", async () => {
  const checked = await deno(
    "check",
    "--quiet",
    "--config",
    "tests/consumer/strict.json",
    "tests/consumer/consumer.ts",
  );
  assertEquals(checked.code, 0, checked.stderr);
  const { code, stdout, stderr } = await deno(
    "run",
    "--no-prompt",
    "--config",
    "tests/consumer/strict.json",
    "tests/consumer/consumer.ts",
  );
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^Cannot matmul|^Cannot multiply/);
  assertEquals(stdout.trim().split("\n").at(-1), "2.6667 2.6667 1");
});

Deno.test("consumer: the package's types are usable with exact optional properties and checked indices", async () => {
  // Linked sources are checked as the consumer's own; from a registry they would not be, so only what the consumer
  // wrote counts.
  const { code, stderr } = await deno(
    "check",
    "--config",
    "tests/consumer/strictest.json",
    "tests/consumer/consumer.ts",
  );
  assert(code === 0 || /^Found \d+ errors?\.$/m.test(stderr), stderr);
  assertEquals(
    stderr.split("\n").filter((line) => /^ +at .*\/tests\/consumer\//.test(line)),
    [],
  );
});

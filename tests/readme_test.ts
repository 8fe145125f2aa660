/** Runs the examples of the README and of the entry points' documentation, as they are written. */
import { assert, assertEquals, assertMatch } from "@std/assert";

const FILES = ["README.md", "mod.ts", "ops/mod.ts", "kernels/mod.ts", "titans/mod.ts"];

Deno.test("readme: every example of the README and the entry points type-checks and runs", async () => {
  const args = ["test", "--doc", "--no-prompt", "--allow-env=NODEVICE_SELECT", ...FILES];
  const { code, stdout, stderr } = await new Deno.Command("deno", { args, env: { NO_COLOR: "1" } }).output();
  const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  // Deno rarely dies by a signal while it unloads a software WebGPU driver, when every example has passed and been reported.
  const diedUnloading = code >= 128 && /^ok \| /m.test(output);
  assert(code === 0 || diedUnloading, output);
  const inReadme = (await Deno.readTextFile("README.md")).match(/^```ts$/gm)?.length ?? 0;
  assertEquals([...output.matchAll(/^running 1 test from .*README\.md/gm)].length, inReadme, output);
  assertMatch(output, /^ok \| [1-9]\d* passed \| 0 failed/m);
});

import { assert, assertEquals } from "@std/assert";
import { stress } from "./signal_stress.ts";

Deno.test("train: stopped by Ctrl-C or SIGTERM at random moments, every run goes on to the numbers of an uninterrupted one", async () => {
  const { inOrder, finished, unborn, resumedAt } = await stress({ runs: 3, seed: 5, device: "cpu" });
  assertEquals(inOrder + finished + unborn, 3);
  assertEquals(resumedAt.length, inOrder);
  assert(inOrder > 0, "some were stopped in good order");
});

import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { UsageError } from "../../cli/errors.ts";
import { servePage } from "../../cli/web.ts";
import { runMain } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

Deno.test("web: the page is served with what its threads need; a port that is taken, and no page, are one line", () =>
  withFolder(async (path) => {
    const folder = new URL(`file://${await Deno.realPath(path)}/`);
    await assertRejects(() => servePage(0, folder), UsageError, "build it with deno task bundle");
    await Deno.writeTextFile(`${path}/index.html`, "<title>A page</title>");
    await Deno.writeTextFile(`${path}/config.json`, "{}");
    const server = await servePage(0, folder), port = Number(new URL(server.url).port);
    try {
      const page = await fetch(server.url);
      assertStringIncludes(await page.text(), "A page");
      assertEquals(page.headers.get("cross-origin-embedder-policy"), "require-corp");
      const config = await fetch(`${server.url}config.json`);
      assertEquals([await config.json(), config.headers.get("content-type")], [{}, "application/json"]);
      const taken = await assertRejects(() => servePage(port, folder), UsageError);
      assertEquals(
        taken.message,
        `port ${port} is in use by another program: give another one, deno task web --port ${port + 1}`,
      );
    } finally {
      await server.close();
    }
  }));

Deno.test("web: a port is an integer, with its flag or alone", async () => {
  for (const args of [["--port", "x"], ["--port", "65536"], ["99999"], ["0x10"], ["1.5"]]) {
    const { code, stderr } = await runMain("web", ...args);
    assertEquals(code, 2);
    assertMatch(stderr, /^error: --port cannot be .*: /);
  }
  assertMatch((await runMain("web", "x")).stderr, /^error: web takes no argument "x"/);
});

import { assertEquals, assertMatch } from "@std/assert";
import { servePlayground } from "../../web/serve.ts";

Deno.test("serve: a port that is taken, or none, is one line that says what to do", () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  assertEquals(servePlayground(String(port)), {
    error: `port ${port} is in use by another program: give another one, deno task web ${port + 1}`,
  });
  for (const wrong of ["", "x", "-1", "1.5", "65536", "99999", "0x10", " 1"]) {
    const served = servePlayground(wrong);
    assertMatch(
      "error" in served ? served.error : served.url,
      /^the port cannot be ".*": give an integer from 0 to 65535; 0 uses any free port$/,
    );
  }
});

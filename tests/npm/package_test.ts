/** The package for npm: what is in it, and that it works where people install it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { runScript } from "../web/run_child.ts";
import type { Outcome } from "./checks.ts";

/** What they take now and a little more: growth should be noticed. */
const MOST_PACKED_BYTES = 1_285_000, MOST_LOADED_BYTES = { gradient: 49_500, generation: 142_800 };

Deno.test("npm: the package runs in Node, Bun, Deno, bundles and plain pages, with types", async (t) => {
  const outcome = await runScript<Outcome>("../npm/checks.ts", 600_000);
  if ("unavailable" in outcome) return console.log(`npm: not checked: ${outcome.unavailable}`);
  const { files, packedBytes, loaded, typeErrors, declarations, problems, runs, pages } = outcome;

  await t.step("the tarball has modules with declarations, bundles, and nothing else", () => {
    const paths = files.map(({ path }) => path);
    const MODULES = /^(?:(?:core|ops|kernels|titans)\/.*|mod)\.(?:js|d\.ts)$/;
    const BUNDLES = /^browser\/(?:mneme|mneme\.global|chunks\/[\w-]+)\.js$/;
    const others = paths.filter((path) => !MODULES.test(path) && !BUNDLES.test(path));
    assertEquals(others.sort(), ["LICENSE", "README.md", "package.json"]);
    const scripts = paths.filter((path) => path.endsWith(".js") && !path.startsWith("browser/"));
    assertEquals(scripts.filter((path) => !paths.includes(path.replace(/\.js$/, ".d.ts"))), []);
    assert(packedBytes < MOST_PACKED_BYTES, `${packedBytes} bytes`);
  });

  await t.step("strict projects type-check, the package's declarations among them", () => {
    assertEquals(typeErrors, "");
    for (const [name, found] of Object.entries(declarations)) {
      assertMatch(found[0] ?? "", /^@mneme\/titans\/.*mod\.d\.ts$/, name);
      assertEquals(found, found.map(() => found[0]), name);
    }
  });

  await t.step("types are found in every way; CommonJS gets modules, as Node since version 22 gives them", () => {
    assertEquals([...new Set(problems.map((problem) => problem.split(" ")[0]))], ["CJSResolvesToESM"], problems.join());
  });

  await t.step("pages load no device that they do not open, and nothing that they do not use", () => {
    const UNUSED = {
      gradient:
        /devices\/(wasm|native|reference|host_memory)\/|webgpu\/(texels|profiler|print_row|helpers_|unavailable)|titans\/titans\/titans|ops\/(random|gather|concat)|tiling\/tile|core\/(scan|loop)\.|kernels\/(schedule|schedule_within|in_place|mask_range)\./,
      generation:
        /devices\/(wasm|native|reference|host_memory)\/|webgpu\/(texels|profiler|helpers_half)|titans\/(tasks|text|train\/(trainer|optimizers))/,
    };
    for (const page of ["gradient", "generation"] as const) {
      const gzipBytes = loaded[page].reduce((sum, chunk) => sum + chunk.gzipBytes, 0);
      console.log(`${page} on WebGPU: ${(gzipBytes / 1000).toFixed(1)} kB with gzip`);
      assert(gzipBytes < MOST_LOADED_BYTES[page], `${page}: ${gzipBytes} bytes`);
      assertEquals(loaded[page].flatMap(({ modules }) => modules).filter((path) => UNUSED[page].test(path)), [], page);
    }
  });

  for (const [name, { code, stderr }] of Object.entries(runs)) {
    await t.step(`the example's command ends well: ${name}`, () => assertEquals(code, 0, stderr));
  }

  await t.step("Node, Bun and Deno compute what the examples say, on all cores", () => {
    const threads = /, (?:[2-9]|\d\d+) threads/;
    if (navigator.hardwareConcurrency > 1) {
      for (const { stdout } of [runs.node, runs.bun]) assertMatch(stdout, threads);
    }
    assertMatch(runs.node.stdout, /: loss 0\.\d{3} -> 0\.000\n$/);
    assertMatch(runs.bun.stdout, /: 0\.\d\d bits per byte\nmemory keeps learning while it rea\n$/);
    assertMatch(runs.deno.stdout, /: 59\.0614 74\.1886\n$/);
  });

  await t.step("what Node lacks is said in words for Node, and cpu is named", () => {
    const [webgpu, native, description] = runs.platform.stdout.trim().split("\n");
    for (const message of [webgpu, native]) {
      assertMatch(message, /use the device "cpu"/);
      assert(!message.includes("apt-get"), message);
    }
    // Threads that wait do not keep the process alive: it has ended.
    assertMatch(description, /, 3 threads$/);
  });

  await t.step("pages show what they compute", () => {
    assertEquals(pages, {
      "vite/dist/": "cpu: y = 2.00 x + 1.00",
      "esbuild/": "cpu: 1.000 0.420 0.071",
      "script-tag/": "cpu: 19,22 | 43,50",
      "script-tag/module.html": "cpu: 19,22 | 43,50",
    });
  });
});

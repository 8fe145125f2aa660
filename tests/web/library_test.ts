/** The library as browsers get it: one file, in Chromium, with all devices. */
import { assert, assertEquals } from "@std/assert";
import type { Chunk } from "../../web/build.ts";
import type { LibraryReport } from "./library_checks.ts";
import { runScript } from "./run_child.ts";

/** What the file takes now and a little more: growth should be noticed. */
const MOST_GZIP_BYTES = 217_500;

function worstDifference(found: readonly number[], wanted: readonly number[]): number {
  assertEquals(found.length, wanted.length);
  return found.reduce(
    (worst, value, i) => Math.max(worst, Math.abs(value - wanted[i]) / Math.max(1, Math.abs(wanted[i]))),
    0,
  );
}

Deno.test("browser: the library in one file computes on all devices what the reference computes", async (t) => {
  const { bundle, chunks, product, pages: [isolated, plain], opTable } = await runScript<LibraryReport>(
    "library_checks.ts",
  );

  await t.step("the file stands alone, and is not larger than expected", () => {
    assertEquals(product, [19, 22, 43, 50]);
    assert(bundle.gzipBytes < MOST_GZIP_BYTES, `${bundle.gzipBytes} bytes with gzip`);
    console.log(
      `library in one file: ${(bundle.sizeBytes / 1000).toFixed(1)} kB, ${
        (bundle.gzipBytes / 1000).toFixed(1)
      } kB with gzip`,
    );
  });

  await t.step("where bundles are split, a device's code is loaded when it is opened", () => {
    // What the devices of the CPU share is no device.
    const DEVICE = /^kernels\/devices\/(?!host_memory)(\w+)\//;
    const devicesIn = ({ modules }: Chunk) => modules.flatMap((path) => DEVICE.exec(path)?.[1] ?? []);
    const loaded = new Set<string>();
    const load = (path: string): void => {
      if (loaded.has(path)) return;
      loaded.add(path);
      chunks.find((chunk) => chunk.path === path)!.imports.forEach(load);
    };
    const start = chunks.find(({ entry }) => entry === "web/page/worker.ts");
    assert(start, "the entry is a chunk");
    load(start.path);
    assertEquals(chunks.filter(({ path }) => loaded.has(path)).flatMap(devicesIn), []);
    // Each device has a chunk of its own, with no other device's code in it. Of native, nothing is there.
    const entries = chunks.filter(({ entry }) => entry?.endsWith("/entry.ts") && DEVICE.test(entry));
    assertEquals(entries.map((chunk) => [...new Set(devicesIn(chunk))].join()).sort(), ["reference", "wasm", "webgpu"]);
  });

  await t.step("a page isolated from other origins computes on several threads, one that is not on one", () => {
    const descriptions = [isolated, plain].map((
      { surroundings, products },
    ) => [surroundings.isolated, surroundings.shared, products.cpu.description]);
    assertEquals(descriptions.map(([isolated, shared]) => [isolated, shared]), [[true, true], [false, false]]);
    assert(/, ([2-9]|\d\d+) threads$/.test(String(descriptions[0][2])), String(descriptions[0][2]));
    assert(/, 1 thread$/.test(String(descriptions[1][2])), String(descriptions[1][2]));
  });

  await t.step("without a real GPU, auto takes the CPU", () => {
    for (const { surroundings } of [isolated, plain]) assertEquals((surroundings.auto as { kind: string }).kind, "cpu");
  });

  await t.step("gradients of products and softmax, on cpu and with both kinds of WebGPU kernels", () => {
    assertEquals(Object.keys(isolated.products), ["cpu", "webgpu", "gpu"]);
    for (const { products } of [isolated, plain]) {
      for (const [device, { found, wanted }] of Object.entries(products)) {
        const difference = worstDifference(found, wanted);
        assert(difference < 1e-6, `${device}: ${difference}`);
      }
    }
  });

  await t.step("losses and gradient norms of training, every model", () => {
    assertEquals(Object.keys(isolated.losses), ["lmm", "mac", "mag", "mal"]);
    assertEquals(Object.keys(plain.losses), ["lmm"]);
    for (const { losses } of [isolated, plain]) {
      for (const [model, { reference, ...devices }] of Object.entries(losses)) {
        for (const [device, found] of Object.entries(devices)) {
          const difference = worstDifference(found, reference);
          assert(difference < 1e-4, `${model} on ${device}: ${difference}`);
        }
      }
    }
  });

  await t.step("the op table with all gradients", () => {
    assert(opTable.cpu.cases > 500 && opTable.webgpu.cases > 80, JSON.stringify(opTable));
    console.log(`op table in Chromium: ${JSON.stringify(opTable)}`);
  });
});

/**
 * The library in Chromium: prints what pages found there as one line of JSON. Started by library_test.ts in a process
 * of its own, with the permissions that a browser takes.
 */
import type { Page } from "playwright-core";
import { bundle, bundleInChunks, bundleLibrary, type Chunk, endBuilds } from "../../web/build.ts";
import { serveFolder } from "../../cli/serve_folder.ts";
import { launch } from "./chromium.ts";
import type * as InPage from "./library_page.ts";

/** What the checks found. */
export interface LibraryReport {
  /** Sizes of the library in one file. */
  readonly bundle: { readonly sizeBytes: number; readonly gzipBytes: number };
  /** The chunks of a page that opens devices by name. */
  readonly chunks: readonly Chunk[];
  /** What a page made with nothing but that file: the product of two matrices. */
  readonly product: readonly number[];
  /** With and without isolation from other origins. */
  readonly pages: readonly PageReport[];
  /** How much of the op table went through each device. */
  readonly opTable: Readonly<Record<string, Awaited<ReturnType<typeof InPage.opTable>>>>;
}

/** What one page found. */
export interface PageReport {
  readonly isolated: boolean;
  readonly surroundings: Awaited<ReturnType<typeof InPage.surroundings>>;
  readonly products: Readonly<Record<string, Awaited<ReturnType<typeof InPage.matrixProduct>>>>;
  /** By model and device. */
  readonly losses: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;
}

const FOLDER = new URL("../../.scratch/web/library/", import.meta.url);
const USE_LIBRARY = `import("/mneme.js").then(async ({ compile, matmul, requestDevice, spec }) => {
  const device = await requestDevice({ kind: "cpu" });
  const program = await compile(device, (a, b) => matmul(a, b), [spec([2, 2]), spec([2, 2])]);
  const { data } = await program.run([1, 2, 3, 4], [5, 6, 7, 8]);
  device.dispose();
  return [...data];
})`;

/** Calls a function of library_page.ts in a page. */
function call<Name extends keyof typeof InPage>(
  page: Page,
  name: Name,
  ...args: readonly string[]
): Promise<Awaited<ReturnType<(typeof InPage)[Name]>>> {
  return page.evaluate(`import("/page.js").then((page) => page.${name}(...${JSON.stringify(args)}))`);
}

async function checkPage(page: Page, isolated: boolean): Promise<PageReport> {
  const devices = isolated ? ["cpu", "webgpu", "gpu"] : ["cpu"];
  const products: Record<string, PageReport["products"][string]> = {},
    losses: Record<string, Record<string, readonly number[]>> = {};
  for (const device of devices) products[device] = await call(page, "matrixProduct", device);
  for (const model of ["lmm", "mac", "mag", "mal"]) {
    losses[model] = {};
    const used = isolated ? ["reference", "cpu", "webgpu"] : ["cpu", "reference"];
    for (const device of used) losses[model][device] = await call(page, "trainingLosses", device, model);
    if (!isolated) break;
  }
  return { isolated, surroundings: await call(page, "surroundings"), products, losses };
}

/** Builds, serves and opens everything. */
async function check(): Promise<LibraryReport> {
  await Deno.mkdir(FOLDER, { recursive: true });
  const { sizeBytes, gzipBytes } = await bundleLibrary(FOLDER);
  await bundle(new URL("library_page.ts", import.meta.url), new URL("page.js", FOLDER));
  // What the playground computes with.
  const chunks = await bundleInChunks(
    [new URL("../../web/page/worker.ts", import.meta.url)],
    new URL("split/", FOLDER),
  );
  await endBuilds();
  await Deno.writeTextFile(
    new URL("index.html", FOLDER),
    `<!doctype html><html lang="en"><title>Checks</title><link rel="icon" href="data:,"></html>`,
  );
  const browser = await launch();
  const pages: PageReport[] = [], opTable: Record<string, LibraryReport["opTable"][string]> = {};
  let product: number[] = [];
  try {
    for (const isolated of [true, false]) {
      const server = serveFolder(FOLDER, { isolated, port: 0 });
      const page = await browser.newPage();
      await page.goto(server.url);
      pages.push(await checkPage(page, isolated));
      if (isolated) { for (const device of ["cpu", "webgpu"]) opTable[device] = await call(page, "opTable", device); }
      product = await page.evaluate(USE_LIBRARY);
      await page.close();
      await server.close();
    }
  } finally {
    await browser.close();
  }
  return { bundle: { sizeBytes, gzipBytes }, chunks, product, pages, opTable };
}

if (import.meta.main) console.log(JSON.stringify(await check()));

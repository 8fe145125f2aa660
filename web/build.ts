/**
 * Bundles for browsers: the library as one file, and the playground page.
 *
 *     deno task bundle    writes web/dist/mneme.js, the library, and the playground around it, and prints their sizes
 */
import { build, type BuildOptions, type Plugin, stop } from "esbuild";

const HERE = new URL("./", import.meta.url);

/** The folder of bundles, which any static host can serve. */
export const DIST: URL = new URL("dist/", HERE);

/** Leaves out what no browser can use. */
const WITHOUT_NATIVE: Plugin = {
  name: "without native",
  setup({ onResolve }) {
    onResolve(
      { filter: /\/native\/(entry|device)\.ts$/ },
      () => ({ path: new URL("../kernels/devices/no_native.ts", HERE).pathname }),
    );
  },
};

/**
 * Has what files import on demand in the chunks that need it, where it is used anyway: chunks of their own, and what puts
 * modules off, cost bytes.
 * @param files Matches the paths of the files.
 */
function atOnce(files: RegExp): Plugin {
  return {
    name: "at once",
    setup({ onLoad }) {
      onLoad({ filter: files }, async ({ path }) => {
        const imported: string[] = [];
        const text = (await Deno.readTextFile(path)).replace(/\bimport\((".*?")\)/g, (_, name) => {
          imported.push(`import * as atOnce${imported.length} from ${name};`);
          return `Promise.resolve(atOnce${imported.length - 1})`;
        });
        return { contents: `${text}\n${imported.join("\n")}`, loader: "ts" };
      });
    },
  };
}

/** The library does nothing while it loads: modules of which nothing is used are left out. */
const WITHOUT_EFFECTS: Plugin = {
  name: "without effects",
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^\.\.?\/.*\.ts$/ }, async ({ path, pluginData, ...from }) => {
      if (pluginData === WITHOUT_EFFECTS) return undefined;
      return { ...await resolve(path, { ...from, pluginData: WITHOUT_EFFECTS }), sideEffects: false };
    });
  },
};

/** Takes the scheduler as a whole. */
const WHOLE_SCHEDULER: Plugin = {
  name: "whole scheduler",
  setup({ onResolve }) {
    const path = new URL("../kernels/schedule/whole.ts", HERE).pathname;
    onResolve({ filter: /\/schedule\/parts\.ts$/ }, () => ({ path, sideEffects: false }));
  },
};

/** Bundles in chunks have the printers of all kernels with the device, and devices on demand. */
const PRINTERS: Plugin = atOnce(/\/kernels\/devices\/webgpu\/(device|parts)\.ts$/);

const OPTIONS: BuildOptions = {
  bundle: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  minify: true,
  legalComments: "none",
  logLevel: "error",
  plugins: [WITHOUT_NATIVE, WHOLE_SCHEDULER, WITHOUT_EFFECTS],
};

/** A file that was written. */
export interface Bundle {
  /** Its path. */
  readonly path: string;
  /** Its size. */
  readonly sizeBytes: number;
  /** Its gzipped size. */
  readonly gzipBytes: number;
}

/** A file of a bundle that is split: an entry, what several of them share, or what is imported when it is needed. */
export interface Chunk extends Bundle {
  /** The module that it begins with, from the root of the project; undefined for what is shared. */
  readonly entry: string | undefined;
  /** The modules that it holds, from the root of the project. */
  readonly modules: readonly string[];
  /** The paths of the chunks that are loaded with it. */
  readonly imports: readonly string[];
}

async function sizesOf(path: string): Promise<Bundle> {
  const bytes = await Deno.readFile(path);
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return { path, sizeBytes: bytes.length, gzipBytes: (await new Response(packed).arrayBuffer()).byteLength };
}

/**
 * Bundles a module with all that it imports in one file.
 * @param entry A TypeScript file.
 * @param path Where to write.
 * @param globalName If given, the file is a plain script that puts its exports in a global variable of this name.
 */
export async function bundle(entry: URL, path: URL, globalName?: string): Promise<Bundle> {
  const kind: BuildOptions = globalName === undefined ? {} : { format: "iife", globalName };
  const plugins = [...OPTIONS.plugins!, atOnce(/\/(core|ops|kernels|titans)\/.*\.ts$/)];
  await build({ ...OPTIONS, ...kind, plugins, entryPoints: [entry.pathname], outfile: path.pathname });
  return await sizesOf(path.pathname);
}

/**
 * Bundles modules in chunks: what they have in common is one file, and what they import when it is needed, such as the
 * code of a device, is a file that is loaded then.
 * @param entries TypeScript files and style sheets of one folder, which keep their names.
 * @param folder Where to write. Chunks go to `chunks/` in it, which is emptied before.
 */
export async function bundleInChunks(entries: readonly URL[], folder: URL): Promise<Chunk[]> {
  await Deno.remove(new URL("chunks/", folder), { recursive: true }).catch(() => {});
  const { metafile: { outputs } } = await build({
    ...OPTIONS,
    plugins: [...OPTIONS.plugins!, PRINTERS],
    entryPoints: entries.map(({ pathname }) => pathname),
    outdir: folder.pathname,
    absWorkingDir: new URL("../", HERE).pathname,
    splitting: true,
    chunkNames: "chunks/[hash]",
    metafile: true,
  });
  const root = new URL("../", HERE).pathname;
  return await Promise.all(
    Object.entries(outputs).map(async ([path, { entryPoint, inputs, imports }]) => ({
      ...await sizesOf(`${root}${path}`),
      entry: entryPoint,
      modules: Object.keys(inputs),
      imports: imports.filter(({ kind }) => kind === "import-statement").map(({ path }) => `${root}${path}`),
    })),
  );
}

/** Bundles the library as `mneme.js` in a folder. */
export function bundleLibrary(folder: URL = DIST): Promise<Bundle> {
  return bundle(new URL("library.ts", HERE), new URL("mneme.js", folder));
}

/** Copies a model that comes with Mneme. */
async function copyModel(name: string, folder: URL): Promise<void> {
  const from = new URL(`../models/${name}/`, HERE), to = new URL(`models/${name}/`, folder);
  await Deno.mkdir(to, { recursive: true });
  for (const file of ["config.json", "model.safetensors"]) await Deno.copyFile(new URL(file, from), new URL(file, to));
}

/** What the page's workers begin with; the page itself begins with the first. */
const ENTRIES = [
  "main.ts",
  "style.css",
  "worker.ts",
  "recall/worker.ts",
  "surprise/worker.ts",
  "works/worker.ts",
  "compare/worker.ts",
];

/** The document, with the panels that its comments name in their places, and without indentation. */
async function assemble(page: URL): Promise<string> {
  const parts = (await Deno.readTextFile(new URL("index.html", page))).split(/<!-- (panels\/\w+\.html) -->/);
  const texts = parts.map((part, i) => i % 2 === 0 ? part : Deno.readTextFile(new URL(part, page)));
  return (await Promise.all(texts)).join("").replaceAll(/\n\s+/g, "\n");
}

/** Bundles the playground into a folder that any static host can serve. */
export async function buildPage(folder: URL = DIST): Promise<Chunk[]> {
  const page = new URL("page/", HERE), from = new URL("texts/", page), to = new URL("texts/", folder);
  await Deno.mkdir(to, { recursive: true });
  const document = new URL("index.html", folder);
  await Deno.writeTextFile(document, await assemble(page));
  for await (const { name } of Deno.readDir(from)) await Deno.copyFile(new URL(name, from), new URL(name, to));
  await Promise.all(["recall", "text"].map((name) => copyModel(name, folder)));
  const chunks = await bundleInChunks(ENTRIES.map((name) => new URL(name, page)), folder);
  return [{ ...await sizesOf(document.pathname), entry: undefined, modules: [], imports: [] }, ...chunks];
}

/** Stops esbuild's process, which would keep this one alive. */
export async function endBuilds(): Promise<void> {
  await stop();
}

/** A line about a file. */
export function describeBundle({ path, sizeBytes, gzipBytes, entry }: Bundle & Partial<Chunk>): string {
  const kilobytes = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`;
  const from = entry && path.includes("/chunks/") ? `, from ${entry}` : "";
  return `${path.slice(path.lastIndexOf("web/"))}: ${kilobytes(sizeBytes)}, ${kilobytes(gzipBytes)} gzipped${from}`;
}

if (import.meta.main) {
  for (const file of [await bundleLibrary(), ...await buildPage()]) console.log(describeBundle(file));
  await endBuilds();
}

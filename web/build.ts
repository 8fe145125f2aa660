/**
 * Bundles for browsers: the library as one file, and the playground page.
 *
 *     deno task bundle    writes web/dist/mneme.js, the library, and the playground around it, and prints their sizes
 */
import { build, type BuildOptions, stop } from "esbuild";

const HERE = new URL("./", import.meta.url);

/** The folder of bundles, which any static host can serve. */
export const DIST: URL = new URL("dist/", HERE);

const OPTIONS: BuildOptions = {
  bundle: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  minify: true,
  legalComments: "none",
  logLevel: "error",
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

/**
 * Bundles a module with its imports.
 * @param entry A TypeScript file.
 * @param path Where to write.
 */
export async function bundle(entry: URL, path: URL): Promise<Bundle> {
  await build({ ...OPTIONS, entryPoints: [entry.pathname], outfile: path.pathname });
  const bytes = await Deno.readFile(path);
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return {
    path: path.pathname,
    sizeBytes: bytes.length,
    gzipBytes: (await new Response(packed).arrayBuffer()).byteLength,
  };
}

/** Bundles the library as `mneme.js` in a folder. */
export function bundleLibrary(folder: URL = DIST): Promise<Bundle> {
  return bundle(new URL("library.ts", HERE), new URL("mneme.js", folder));
}

/** Bundles the playground into a folder that any static host can serve. */
export async function buildPage(folder: URL = DIST): Promise<Bundle[]> {
  const page = new URL("page/", HERE), from = new URL("texts/", page), to = new URL("texts/", folder);
  await Deno.mkdir(to, { recursive: true });
  for (const name of ["index.html", "style.css"]) await Deno.copyFile(new URL(name, page), new URL(name, folder));
  for await (const { name } of Deno.readDir(from)) await Deno.copyFile(new URL(name, from), new URL(name, to));
  return [
    await bundle(new URL("main.ts", page), new URL("main.js", folder)),
    await bundle(new URL("worker.ts", page), new URL("worker.js", folder)),
  ];
}

/** Stops esbuild's process, which would keep this one alive. */
export async function endBuilds(): Promise<void> {
  await stop();
}

/** A line about a file. */
export function describeBundle({ path, sizeBytes, gzipBytes }: Bundle): string {
  const kilobytes = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`;
  return `${path.slice(path.lastIndexOf("web/"))}: ${kilobytes(sizeBytes)}, ${kilobytes(gzipBytes)} gzipped`;
}

if (import.meta.main) {
  for (const file of [await bundleLibrary(), ...await buildPage()]) console.log(describeBundle(file));
  await endBuilds();
}

/** How much of the package a page loads that computes on one device. */
import { build, stop } from "esbuild";

/** A chunk that is loaded. */
export interface LoadedChunk {
  /** The modules of which it has something. */
  readonly modules: readonly string[];
  readonly gzipBytes: number;
}

async function gzipBytes(contents: Uint8Array): Promise<number> {
  const packed = new Blob([new Uint8Array(contents)]).stream().pipeThrough(new CompressionStream("gzip"));
  return (await new Response(packed).arrayBuffer()).byteLength;
}

/**
 * Bundles a program, minified, and finds the chunks that are loaded: those that it imports, and of those that it loads
 * on demand the ones that are asked for.
 * @param onDemand Matches the modules that are loaded.
 */
export async function loadedChunks(program: string, folder: URL, onDemand: RegExp): Promise<LoadedChunk[]> {
  const { outputFiles, metafile: { outputs } } = await build({
    stdin: { contents: program, resolveDir: folder.pathname, sourcefile: "main.js" },
    absWorkingDir: folder.pathname,
    outdir: "out",
    bundle: true,
    splitting: true,
    format: "esm",
    minify: true,
    target: "es2022",
    metafile: true,
    write: false,
    logLevel: "error",
  });
  await stop();
  const loaded = new Set<string>();
  const load = (path: string): void => {
    if (loaded.has(path)) return;
    loaded.add(path);
    for (const { kind, path: imported } of outputs[path].imports) {
      if (kind === "import-statement" || onDemand.test(outputs[imported].entryPoint ?? "")) load(imported);
    }
  };
  load(Object.keys(outputs).find((path) => outputs[path].entryPoint === "main.js")!);
  return await Promise.all([...loaded].map(async (path) => ({
    modules: Object.entries(outputs[path].inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([path]) =>
      path
    ),
    gzipBytes: await gzipBytes(outputFiles.find((file) => file.path.endsWith(`/${path}`))!.contents),
  })));
}

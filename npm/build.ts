/**
 * The package for npm, with the entry points that JSR has.
 *
 *     deno task npm    writes dist/npm, ready for `npm publish ./dist/npm`
 *
 * Each module stays a file of its own, so that bundlers keep only what is used, and make a chunk of each device.
 * `browser/` has the library in bundles, for pages without a bundler.
 */
import { bundle, bundleInChunks, endBuilds } from "../web/build.ts";
import { compileModules } from "./compile.ts";

const HERE = new URL("./", import.meta.url), ROOT = new URL("../", HERE);

/** What browsers have in place of the native device. */
const WITHOUT_NATIVE = "kernels/devices/no_native.ts";

/** What is read of deno.json. */
interface Config {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly exports: Readonly<Record<string, string>>;
}

/** The path of a module without its extension, relative to the package. */
function stem(path: string): string {
  return `./${path.replace(/^\.\//, "").replace(/\.ts$/, "")}`;
}

/** What stands in package.json. */
function describePackage({ name, version, license, exports }: Config): Readonly<Record<string, unknown>> {
  const entry = (path: string) => ({ types: `${stem(path)}.d.ts`, default: `${stem(path)}.js` });
  const native = ["entry", "device"].map((module) => `./kernels/devices/native/${module}.js`);
  return {
    name,
    version,
    description: "Compiles tensor programs for WebGPU and WebAssembly, and trains and runs Titans models",
    keywords: ["titans", "neural memory", "machine learning", "autodiff", "webgpu", "webassembly"],
    license,
    type: "module",
    engines: { node: ">=22" },
    sideEffects: ["./browser/mneme.global.js"],
    exports: {
      ...Object.fromEntries(Object.entries(exports).map(([name, path]) => [name, entry(path)])),
      "./browser/*": "./browser/*",
      "./package.json": "./package.json",
    },
    // For tools that do not read `exports`.
    main: `${stem(exports["."])}.js`,
    types: `${stem(exports["."])}.d.ts`,
    // For compilers that find modules as Node 10 did, beside bundlers that read `exports`.
    typesVersions: {
      "*": Object.fromEntries(
        Object.entries(exports).filter(([name]) => name !== ".")
          .map(([name, path]) => [name.slice(2), [`${stem(path)}.d.ts`]]),
      ),
    },
    jsdelivr: "./browser/mneme.global.js",
    unpkg: "./browser/mneme.global.js",
    browser: Object.fromEntries(native.map((path) => [path, `${stem(WITHOUT_NATIVE)}.js`])),
  };
}

async function write(folder: URL, path: string, text: string): Promise<void> {
  const url = new URL(path, folder);
  await Deno.mkdir(new URL("./", url), { recursive: true });
  await Deno.writeTextFile(url, text);
}

/** Writes the package into a folder, which is emptied before. */
export async function buildPackage(folder: URL): Promise<void> {
  const config: Config = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  await Deno.remove(folder, { recursive: true }).catch(() => {});
  const entries = [...Object.values(config.exports), WITHOUT_NATIVE];
  for (const [path, text] of compileModules(ROOT.pathname, entries)) await write(folder, path, text);
  await write(folder, "package.json", `${JSON.stringify(describePackage(config), undefined, 2)}\n`);
  await Deno.copyFile(new URL("README.md", HERE), new URL("README.md", folder));
  await Deno.copyFile(new URL("LICENSE", ROOT), new URL("LICENSE", folder));
  const browser = new URL("browser/", folder), library = new URL("mneme.ts", HERE);
  await bundleInChunks([library], browser);
  await bundle(library, new URL("mneme.global.js", browser), "mneme");
}

if (import.meta.main) {
  await buildPackage(new URL("dist/npm/", ROOT));
  await endBuilds();
}

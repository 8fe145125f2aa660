/**
 * The package in other runtimes: prints what was found there as one line of JSON. Started by package_test.ts in a
 * process of its own, with the permissions that npm, compilers and a browser take.
 */
import { serveFolder } from "../../cli/serve_folder.ts";
import { launch } from "../web/chromium.ts";
import { type LoadedChunk, loadedChunks } from "./bundle_size.ts";
import { type Ended, openProject, type PackedFile, type Project, runIn } from "./project.ts";
import { declarationsOf, problemsOf, typeErrors } from "./types.ts";

/** What the checks found. */
export interface PackageReport {
  readonly files: readonly PackedFile[];
  readonly packedBytes: number;
  /** What pages load that compute on WebGPU: the gradient of a sum, and what a trained model writes. */
  readonly loaded: Readonly<Record<keyof typeof ON_WEBGPU, readonly LoadedChunk[]>>;
  readonly typeErrors: string;
  /** By the name of an entry point, the files that have its types, for each way of finding them. */
  readonly declarations: Readonly<Record<string, readonly (string | undefined)[]>>;
  /** What "Are the types wrong?" finds. */
  readonly problems: readonly string[];
  /** How the commands of the examples ended. */
  readonly runs: Readonly<Record<string, Ended>>;
  /** What the pages of the examples show. */
  readonly pages: Readonly<Record<string, string>>;
}

/** The checks, or why there are none. */
export type Outcome = PackageReport | { readonly unavailable: string };

const ROOT = new URL("../../", import.meta.url);

const ON_WEBGPU = {
  gradient: `
import { compile, grad, requestDevice, spec } from "@mneme/titans";
import { sum, tanh } from "@mneme/titans/ops";
const device = await requestDevice({ kind: "webgpu" });
const program = await compile(device, grad((x) => sum(tanh(x))), [spec([3])]);
console.log(await program.run([1, 2, 3]));
`,
  generation: `
import { requestDevice } from "@mneme/titans";
import { decodeCheckpoint, Decoder, generate, Model } from "@mneme/titans/titans";
const device = await requestDevice({ kind: "webgpu" });
const { config, state } = decodeCheckpoint(await (await fetch("checkpoint.safetensors")).bytes());
const model = new Model(config), decoder = await Decoder.create(device, model, model.layout.pack(state.params));
for await (const byte of generate(decoder, Uint8Array.of(65), { maxTokens: 9 })) console.log(byte);
`,
} as const;

/** The modules that are loaded when the device is opened and when programs are (tests/kernels/parts_test.ts, elementwise_test.ts). */
const ON_DEMAND = {
  gradient: /\/webgpu\/entry\.js$/,
  generation: /\/(?:webgpu\/(?:entry|other_kinds)|kernels\/schedule_within)\.js$/,
} as const;

const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  node: ["npm", "start", "--silent"],
  bun: ["npm", "start", "--silent"],
  vite: ["npm", "run", "build"],
  esbuild: ["npm", "run", "build"],
};

const PAGES = ["vite/dist/", "esbuild/", "script-tag/", "script-tag/module.html"] as const;

/** The names that other programs import. */
const NAMES = ["", "/ops", "/kernels", "/titans", "/nn", "/tasks"].map((path) => `@mneme/titans${path}`);

/**
 * All entry points, as modules and as CommonJS gets them, messages for what Node does not have, and threads that do not
 * keep the process alive.
 */
const IN_NODE = `
import { createRequire } from "node:module";
const require = createRequire(import.meta.url);
for (const name of ${JSON.stringify(NAMES)}) {
  if (require(name) !== await import(name)) throw new Error(name + " is loaded twice");
}
const { requestDevice } = await import("@mneme/titans");
for (const kind of ["webgpu", "native"]) await requestDevice({ kind }).catch(({ message }) => console.log(message));
const left = await requestDevice({ kind: "cpu", threads: 3 });
console.log(left.info.description);
`;

/** Deno's example names the package as it is on JSR; here it is linked. */
async function runInDeno(folder: URL): Promise<Ended> {
  const from = new URL("examples/deno/", ROOT), to = new URL("deno/", folder);
  await Deno.mkdir(to);
  const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", from)));
  await Deno.writeTextFile(
    new URL("deno.json", to),
    JSON.stringify({ ...config, links: [ROOT.pathname], lock: false }),
  );
  await Deno.copyFile(new URL("main.ts", from), new URL("main.ts", to));
  return await runIn(to, "deno", "task", "--quiet", "start");
}

async function readPages(folder: URL): Promise<Record<string, string>> {
  const server = serveFolder(folder, { isolated: true, port: 0 }), browser = await launch();
  const shown: Record<string, string> = {};
  try {
    for (const path of PAGES) {
      const page = await browser.newPage();
      page.on("pageerror", (error) => shown[path] = String(error));
      await page.goto(`${server.url}${path}`);
      const output = page.locator("output").filter({ hasText: /: / });
      await output.waitFor({ timeout: 30_000 }).catch(() => {});
      shown[path] ??= await page.locator("output").innerText();
      await page.close();
    }
  } finally {
    await browser.close();
    await server.close();
  }
  return shown;
}

async function check({ folder, tarball, files, packedBytes }: Project): Promise<PackageReport> {
  await Deno.copyFile(new URL("tests/consumer/consumer.ts", ROOT), new URL("consumer.ts", folder));
  await Deno.writeTextFile(new URL("platform.mjs", folder), IN_NODE);
  const runs: Record<string, Ended> = { deno: await runInDeno(folder) };
  for (const [name, [command, ...args]] of Object.entries(COMMANDS)) {
    runs[name] = await runIn(new URL(`${name}/`, folder), command, ...args);
  }
  runs.platform = await runIn(folder, "npm", "exec", "--offline", "--", "node", "platform.mjs");
  return {
    files,
    packedBytes,
    loaded: {
      gradient: await loadedChunks(ON_WEBGPU.gradient, folder, ON_DEMAND.gradient),
      generation: await loadedChunks(ON_WEBGPU.generation, folder, ON_DEMAND.generation),
    },
    typeErrors: typeErrors(folder, ["consumer.ts", "bun/main.ts", "vite/main.ts"]),
    declarations: Object.fromEntries(NAMES.map((name) => [name, declarationsOf(name, folder)])),
    problems: await problemsOf(await Deno.readFile(tarball)),
    runs,
    pages: await readPages(folder),
  };
}

async function main(): Promise<Outcome> {
  let project: Project;
  try {
    project = await openProject();
  } catch (error) {
    // Without npm, or a network to fetch runtimes with.
    const message = String(error);
    if (/NotFound|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENOTCACHED|network/.test(message)) return { unavailable: message };
    throw error;
  }
  return await check(project);
}

if (import.meta.main) console.log(JSON.stringify(await main()));

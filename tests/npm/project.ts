/** A project with the package, installed from its tarball, and with the examples of other runtimes. */
import { endBuilds } from "../../web/build.ts";
import { buildPackage } from "../../npm/build.ts";

const ROOT = new URL("../../", import.meta.url);

/** The runtimes and bundlers, which stay from run to run, are in a folder around the project. */
const TOOLS = new URL(".scratch/npm/", ROOT);

/** The examples that have a package.json. */
export const EXAMPLES = ["node", "bun", "vite", "esbuild", "script-tag"] as const;

/** A project. */
export interface Project {
  /** Where it is. */
  readonly folder: URL;
  readonly tarball: URL;
  /** The files of the tarball. */
  readonly files: readonly PackedFile[];
  readonly packedBytes: number;
}

/** A file of the tarball. */
export interface PackedFile {
  readonly path: string;
  readonly size: number;
}

/** How a command ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command in a folder. */
export async function runIn(folder: URL, command: string, ...args: readonly string[]): Promise<Ended> {
  const options = { args: [...args], cwd: folder, env: { NO_COLOR: "1", NODEVICE_SELECT: "1" } };
  const { code, stdout, stderr } = await new Deno.Command(command, options).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

async function npm(folder: URL, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runIn(folder, "npm", ...args);
  if (code !== 0) throw new Error(`npm ${args.join(" ")}: ${stderr}`);
  return stdout;
}

interface Manifest {
  readonly devDependencies?: Readonly<Record<string, string>>;
}

async function readJson<T>(url: URL): Promise<T> {
  return JSON.parse(await Deno.readTextFile(url));
}

/**
 * The runtimes, and what the examples name for development. Node itself is taken from the machine where it is new
 * enough.
 */
async function toolVersions(): Promise<Record<string, string>> {
  const manifests = await Promise.all(
    EXAMPLES.map((name) => readJson<Manifest>(new URL(`examples/${name}/package.json`, ROOT))),
  );
  const { stdout } = await runIn(ROOT, "node", "--version"), isNew = Number(/^v(\d+)/.exec(stdout)?.[1]) >= 22;
  const bundlers = Object.assign({}, ...manifests.map(({ devDependencies }) => devDependencies));
  return { bun: "1.4.5", ...(!isNew && { node: "22.23.3" }), ...bundlers };
}

/** Installs runtimes and bundlers unless they are there. @throws {Error} where the registry cannot be reached. */
async function installTools(): Promise<void> {
  const wanted = JSON.stringify({ private: true, dependencies: await toolVersions() });
  const manifest = new URL("package.json", TOOLS), done = new URL("installed.json", TOOLS);
  if (await Deno.readTextFile(done).catch(() => "") === wanted) return;
  await Deno.mkdir(TOOLS, { recursive: true });
  await Deno.writeTextFile(manifest, wanted);
  await npm(TOOLS, "install", "--no-audit", "--no-fund", "--no-package-lock");
  await Deno.writeTextFile(done, wanted);
}

/** Copies the files of a folder, but not what was installed or built in it. */
async function copyFiles(from: URL, to: URL): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isFile } of Deno.readDir(from)) {
    if (isFile) await Deno.copyFile(new URL(name, from), new URL(name, to));
  }
}

/** Builds, packs and installs the package. @throws {Error} where npm is missing, or the registry cannot be reached. */
export async function openProject(): Promise<Project> {
  const folder = new URL("project/", TOOLS), built = new URL("package/", TOOLS);
  await Promise.all([installTools(), buildPackage(built).finally(endBuilds)]);
  await Deno.remove(folder, { recursive: true }).catch(() => {});
  await Deno.mkdir(folder);
  const [packed] = JSON.parse(await npm(built, "pack", "--json", `--pack-destination=${folder.pathname}`));
  await Deno.writeTextFile(new URL("package.json", folder), `{ "private": true, "type": "module" }`);
  await npm(folder, "install", "--offline", "--no-audit", "--no-fund", "--no-package-lock", `./${packed.filename}`);
  for (const name of EXAMPLES) await copyFiles(new URL(`examples/${name}/`, ROOT), new URL(`${name}/`, folder));
  // Pages name files in the folder that they are in.
  await Deno.symlink("../node_modules", new URL("script-tag/node_modules", folder));
  return { folder, tarball: new URL(packed.filename, folder), files: packed.files, packedBytes: packed.size };
}

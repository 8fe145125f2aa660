/**
 * A Deno and the runtime that its `deno compile` puts into executables, both from npm. Deno itself downloads that
 * runtime from its own site; here it is cut out of a published executable that was made with the same version: all that
 * precedes the program in it.
 */

/** Where the two are kept for the next time. */
const FOLDER = ".scratch/runtime-2.4.2";
const DENO = "@deno/linux-x64-glibc";
const EXECUTABLE = "@vltpkg/cli-linux-x64";
const PACKAGES = [`npm:${DENO}@2.4.2`, `npm:${EXECUTABLE}@0.0.0-18`];

/** A Deno, and the environment in which its `deno compile` needs no download. */
export interface Compiler {
  readonly deno: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The pair for Linux on x64; elsewhere the running Deno, which takes DENORT_BIN or downloads its runtime. */
export async function findCompiler(): Promise<Compiler> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") return { deno: Deno.execPath(), env: {} };
  const deno = await Deno.realPath(".") + `/${FOLDER}/deno`, runtime = `${deno}rt`;
  // The runtime is written last, so that it stands for both.
  if (!await exists(runtime)) await download(deno, runtime);
  // This older Deno trusts the machine's own authorities only if told so.
  return {
    deno,
    env: { DENORT_BIN: runtime, DENO_TLS_CA_STORE: Deno.env.get("DENO_TLS_CA_STORE") ?? "mozilla,system" },
  };
}

async function download(deno: string, runtime: string): Promise<void> {
  await Deno.mkdir(FOLDER, { recursive: true });
  // A cache of its own, removed afterwards: nobody else needs packages of this size.
  const cache = await Deno.makeTempDir({ dir: FOLDER });
  try {
    const options: Deno.CommandOptions = {
      args: ["cache", "--quiet", "--no-lock", "--no-config", ...PACKAGES],
      env: { DENO_DIR: cache },
    };
    const { success, stderr } = await new Deno.Command(Deno.execPath(), options).output();
    if (!success) throw new Error(`cannot download ${PACKAGES.join(" and ")}: ${new TextDecoder().decode(stderr)}`);
    await Deno.copyFile(await find(`${cache}/npm`, `/${DENO}/2.4.2/deno`), deno);
    await Deno.chmod(deno, 0o755);
    const executable = await Deno.readFile(await find(`${cache}/npm`, `/${EXECUTABLE}/0.0.0-18/vlt`));
    await Deno.writeFile(`${runtime}.part`, executable.subarray(0, elfSize(executable)));
    await Deno.chmod(`${runtime}.part`, 0o755);
    await Deno.rename(`${runtime}.part`, runtime);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

/** The size of a 64-bit ELF file, whose section headers stand at its end; what follows them is not its own. */
function elfSize(file: Uint8Array): number {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const headersAt = Number(view.getBigUint64(0x28, true)),
    headerSize = view.getUint16(0x3a, true),
    headerCount = view.getUint16(0x3c, true);
  return headersAt + headerSize * headerCount;
}

/** A file of a package cache, below the folder named after the registry. */
async function find(cache: string, path: string): Promise<string> {
  for await (const { name } of Deno.readDir(cache)) {
    if (await exists(`${cache}/${name}${path}`)) return `${cache}/${name}${path}`;
  }
  throw new Error(`${cache} has no ${path}`);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

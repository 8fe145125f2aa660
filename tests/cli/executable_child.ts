/**
 * Builds the executable as `deno task compile` does, and runs it: in an empty folder, which is its home, without Deno
 * or anything else on its path.
 *
 *     deno run ... tests/cli/executable_child.ts FOLDER '[["--version"], ["info"]]'
 *
 * Prints what came of each command line, as JSON. A program of its own, because the tests themselves may run nothing
 * but Deno.
 */
import { findCompiler } from "./runtime.ts";

/** The page, as `deno task bundle` writes it. */
const PAGE = "web/dist";

/** A file that the executable serves. */
export interface ServedFile {
  readonly path: string;
  readonly type: string | null;
  readonly isWhole: boolean;
}

/** What came of the executable. */
export interface ExecutableReport {
  readonly sizeBytes: number;
  /** The files of the page that it serves: their paths, types, and whether they are those of the checkout. */
  readonly page: readonly ServedFile[];
  /** One for each command line. */
  readonly runs: readonly {
    readonly code: number;
    readonly stdout: string;
    readonly stderr: string;
    readonly milliseconds: number;
  }[];
  /** The files in the folder at the end. */
  readonly files: readonly string[];
}

async function build(output: string): Promise<void> {
  const { tasks } = JSON.parse(await Deno.readTextFile("deno.json")) as { tasks: { compile: { command: string } } };
  const [bundle, compile] = tasks.compile.command.split(" && ").map((command) => command.split(" ").slice(1)),
    words = compile.filter((word) => word !== "$MNEME_COMPILE").map((word) => word === "dist/mneme" ? output : word);
  const { deno, env } = await findCompiler();
  for (const [program, args, options] of [["deno", bundle, {}], [deno, words, env]] as const) {
    const { success, stderr } = await new Deno.Command(program, { args, env: options }).output();
    if (!success) throw new Error(`deno ${args.join(" ")} failed: ${new TextDecoder().decode(stderr)}`);
  }
}

async function filesIn(folder: string, below = ""): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(`${folder}/${below}`)) {
    if (isDirectory) files.push(...await filesIn(folder, `${below}${name}/`));
    else files.push(`${below}${name}`);
  }
  return files.sort();
}

/** Has the executable serve its page, asks for every file, and stops it. */
async function pageOf(executable: string, options: Deno.CommandOptions): Promise<ServedFile[]> {
  const child = new Deno.Command(executable, {
    ...options,
    args: ["web", "--port", "0"],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "", url: string | undefined;
  while (url === undefined) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`web ended without an address: ${said}`);
    said += value;
    url = said.match(/http:\S+\//)?.[0];
  }
  const files: ServedFile[] = [];
  for (const path of ["", ...(await filesIn(PAGE)).filter((path) => path !== "index.html")]) {
    const response = await fetch(url + path), served = new Uint8Array(await response.arrayBuffer());
    const own = await Deno.readFile(`${PAGE}/${path || "index.html"}`);
    const isWhole = served.length === own.length && served.every((byte, i) => byte === own[i]);
    files.push({ path, type: response.headers.get("content-type"), isWhole });
  }
  child.kill("SIGINT");
  await reader.cancel();
  const { code } = await child.status;
  if (code !== 0) throw new Error(`web ended with code ${code}`);
  return files;
}

async function report(folder: string, lines: readonly (readonly string[])[]): Promise<ExecutableReport> {
  const executable = `${folder}/bin/mneme`, home = `${folder}/home`;
  await Deno.mkdir(home);
  await build(executable);
  const place = { cwd: home, clearEnv: true, env: { HOME: home, PATH: `${folder}/none`, NO_COLOR: "1" } };
  const runs: ExecutableReport["runs"][number][] = [];
  for (const args of lines) {
    const began = performance.now();
    const { code, stdout, stderr } = await new Deno.Command(executable, { ...place, args: [...args] }).output();
    const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
    runs.push({ code, stdout: decode(stdout), stderr: decode(stderr), milliseconds: performance.now() - began });
  }
  const page = await pageOf(executable, place);
  return { sizeBytes: (await Deno.stat(executable)).size, page, runs, files: await filesIn(home) };
}

if (import.meta.main) {
  const [folder, lines] = Deno.args;
  console.log(JSON.stringify(await report(await Deno.realPath(folder), JSON.parse(lines))));
}

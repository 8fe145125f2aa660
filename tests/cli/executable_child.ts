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

/** What came of the executable. */
export interface ExecutableReport {
  readonly sizeBytes: number;
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
  const words = tasks.compile.command.split(" ").filter((word) => word !== "$MNEME_COMPILE").map((word) =>
    word === "dist/mneme" ? output : word
  );
  const { deno, env } = await findCompiler();
  const { success, stderr } = await new Deno.Command(deno, { args: words.slice(1), env }).output();
  if (!success) throw new Error(`deno compile failed: ${new TextDecoder().decode(stderr)}`);
}

async function filesIn(folder: string, below = ""): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(`${folder}/${below}`)) {
    if (isDirectory) files.push(...await filesIn(folder, `${below}${name}/`));
    else files.push(`${below}${name}`);
  }
  return files.sort();
}

async function report(folder: string, lines: readonly (readonly string[])[]): Promise<ExecutableReport> {
  const executable = `${folder}/bin/mneme`, home = `${folder}/home`;
  await Deno.mkdir(home);
  await build(executable);
  const runs: ExecutableReport["runs"][number][] = [];
  for (const args of lines) {
    const began = performance.now();
    const options: Deno.CommandOptions = {
      args: [...args],
      cwd: home,
      clearEnv: true,
      env: { HOME: home, PATH: `${folder}/none`, NO_COLOR: "1" },
    };
    const { code, stdout, stderr } = await new Deno.Command(executable, options).output();
    const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
    runs.push({ code, stdout: decode(stdout), stderr: decode(stderr), milliseconds: performance.now() - began });
  }
  return { sizeBytes: (await Deno.stat(executable)).size, runs, files: await filesIn(home) };
}

if (import.meta.main) {
  const [folder, lines] = Deno.args;
  console.log(JSON.stringify(await report(await Deno.realPath(folder), JSON.parse(lines))));
}

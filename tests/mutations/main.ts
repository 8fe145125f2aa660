/**
 * Plants faults and sees which test catches each: `deno task mutate --help`.
 *
 * The tree is copied below `.scratch`, and the faults of mutations.ts are planted in the copy one at a time. Each has
 * to type-check, since a fault that any compiler finds proves nothing, and then runs against its suites, a file a
 * process, until one fails (and that one has to pass without the fault). A fault that all of them let pass is a test
 * that is missing: the command exits with 1.
 */
import { CommandError, UsageError } from "../../cli/errors.ts";
import { text } from "../../cli/flags.ts";
import { runTool } from "../tool.ts";
import { type Mutation, MUTATIONS } from "./mutations.ts";
import { SUITES } from "./suites.ts";

/** A file that runs longer than this hangs; loops without an end are caught like anything else. */
const MAX_SECONDS = 600;
const LEFT_OUT = new Set([".git", ".scratch", "node_modules", "runs", "bench", "dist"]);

/** What tests may do, as `deno task test` says. */
async function testPermissions(): Promise<string[]> {
  const { tasks } = JSON.parse(await Deno.readTextFile("deno.json")) as { tasks: { test: { command: string } } };
  return tasks.test.command.split(" tests/run.ts ")[1].split(" ").filter((word) => word !== "--");
}

/** How a run of a test file went: the first test that failed, undefined if none did. */
async function failureOf(file: string, folder: string): Promise<string | undefined> {
  const permissions = await testPermissions();
  const { code, text } = await runDeno(["test", "--quiet", "--no-check", "--fail-fast", ...permissions, file], folder);
  if (code === 0) return undefined;
  const name = text.split("\n").find((line) => / \.\.\. FAILED/.test(line))?.replace(/ \.\.\. FAILED.*/, "");
  return name ??
    (code === undefined
      ? `no end within ${MAX_SECONDS} seconds`
      : text.trim().split("\n").find((line) => /error/i.test(line)) ?? `exit code ${code}`);
}

/** Runs Deno in a folder. The code is undefined where it was stopped for taking too long. */
async function runDeno(args: readonly string[], folder: string): Promise<{ code: number | undefined; text: string }> {
  const signal = AbortSignal.timeout(MAX_SECONDS * 1000);
  const command = new Deno.Command("deno", {
    args: [...args],
    cwd: folder,
    signal,
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  });
  const { code, stdout, stderr } = await command.output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  return { code: signal.aborted ? undefined : code, text };
}

async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory, isFile } of Deno.readDir(from)) {
    if (LEFT_OUT.has(name) && (from === "." || name === "node_modules")) continue;
    if (isDirectory) await copyTree(`${from}/${name}`, `${to}/${name}`);
    else if (isFile) await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

function suitesOf({ suites }: Mutation): string[] {
  return [...new Set(suites.flatMap((group) => SUITES[group]))];
}

/** Plants a fault, and takes it out again. Returns the suite that caught it and what failed there. */
async function hunt(
  mutation: Mutation,
  folder: string,
): Promise<{ readonly suite: string; readonly failure: string } | undefined> {
  const { file, search, replace } = mutation, path = `${folder}/${file}`;
  const source = await Deno.readTextFile(path);
  if (source.split(search).length !== 2) {
    throw new CommandError(`Cannot plant "${mutation.name}": ${file} must have its text once; update mutations.ts`);
  }
  await Deno.writeTextFile(path, source.replace(search, () => replace));
  try {
    const { code, text } = await runDeno(["check", "--quiet", file], folder);
    if (code !== 0) throw new CommandError(`Cannot plant "${mutation.name}": it does not type-check:\n${text}`);
    for (const suite of suitesOf(mutation)) {
      const failure = await failureOf(suite, folder);
      if (failure !== undefined) return { suite, failure };
    }
    return undefined;
  } finally {
    await Deno.writeTextFile(path, source);
  }
}

async function mutate(only: string): Promise<number> {
  const chosen = MUTATIONS.filter(({ name }) => name.includes(only));
  if (chosen.length === 0) {
    throw new UsageError(`--only cannot be ${JSON.stringify(only)}: no planted fault has it in its name`);
  }
  await Deno.mkdir(".scratch", { recursive: true });
  const folder = await Deno.makeTempDir({ dir: ".scratch", prefix: "mutate-" });
  try {
    await copyTree(".", folder);
    await Deno.mkdir(`${folder}/.scratch`, { recursive: true });
    let survivors = 0;
    const trusted = new Set<string>();
    for (const mutation of chosen) {
      const start = performance.now(),
        caught = await hunt(mutation, folder),
        seconds = ((performance.now() - start) / 1000).toFixed(0);
      if (caught && !trusted.has(caught.suite)) {
        const failure = await failureOf(caught.suite, folder);
        if (failure !== undefined) {
          throw new CommandError(`Cannot hunt with ${caught.suite}: without any planted fault it fails at ${failure}`);
        }
        trusted.add(caught.suite);
      }
      if (!caught) survivors++;
      console.log(`${mutation.name} -> ${caught ? `${caught.suite}: ${caught.failure}` : "SURVIVED"} (${seconds} s)`);
    }
    console.log(`${chosen.length} faults planted, ${chosen.length - survivors} caught, ${survivors} survived`);
    return survivors === 0 ? 0 : 1;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  await runTool({
    task: "mutate",
    about:
      `Plants faults in a copy of the tree, one at a time, and prints which test catches each; fails if one is not caught.
Hours for all.`,
    flags: { only: text("TEXT", "only faults with this in their name", "") },
    run: ({ only }) => mutate(only),
  });
}

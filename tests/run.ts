/**
 * Runs the test files, a process each: `deno task test`. There is one process more than processors (at most four in all),
 * because some tests wait: for a download, a browser, other ranks. Most of a run on a software adapter is the driver
 * compiling shaders, which one process does on one processor; and a driver that dies takes one file with it rather than
 * the run.
 *
 * Arguments before `--` are permissions, spelled out in deno.json. Those after it go to one plain `deno test`, for a
 * part of the suites or with its options. The last line is like Deno's own:
 * `ok | 84 passed | 0 failed | 2 ignored (1m2s)`.
 */

/**
 * The files that take longest without a shader cache. They start first, so that no processor waits for one of them at
 * the end. The end of a run names those that took longest.
 */
export const LONGEST: readonly string[] = [
  "tests/titans/must_hold_test.ts",
  "tests/cli/executable_test.ts",
  "tests/web/playground_test.ts",
  "tests/titans/memory_test.ts",
  "tests/titans/model_test.ts",
  "tests/titans/golden_mixers_test.ts",
  "tests/golden_layers_test.ts",
  "tests/web/library_test.ts",
  "tests/titans/mixers_test.ts",
  "tests/mpi/mpi_test.ts",
  "tests/npm/package_test.ts",
  "tests/readme_test.ts",
  "tests/fuzz/fuzz_test.ts",
  "tests/titans/diagnose_test.ts",
  "tests/kill/kill_test.ts",
  "tests/cli/study/study_test.ts",
  "tests/titans/stream_test.ts",
  "tests/cli/data/flat_memory_test.ts",
  "tests/op_suites/parity_native_test.ts",
  "tests/kernels/evaluate_plan_test.ts",
  "tests/cli/train_test.ts",
];

const MAX_PROCESSES = 4;

/** The folders that test compiled operations. Their shaders are compiled with all optimizations, as users' are. */
const OPTIMIZED: readonly string[] = ["tests/fuzz/", "tests/kernels/", "tests/numerics/", "tests/op_suites/"];

/**
 * What Mesa's software driver reads; other drivers do not look at it. Most of the time of compiling a shader goes to
 * LLVM's optimization passes, which are left out, and to instructions for each lane of a vector, of which there are four
 * rather than the eight that the processor may have. The names of files in the driver's cache tell shaders without
 * optimizations from others, but not those with short vectors: these get a cache folder of their own, which the driver
 * makes in this one.
 */
function quickToCompile(): Readonly<Record<string, string>> {
  return {
    GALLIVM_PERF: "nopt",
    LP_NATIVE_VECTOR_WIDTH: "128",
    MESA_SHADER_CACHE_DIR: `${Deno.cwd()}/.scratch`,
  };
}

/** What a test file finds in the environment beside what is there already. */
export function environmentOf(file: string): Readonly<Record<string, string>> {
  return OPTIMIZED.some((folder) => file.startsWith(folder)) ? {} : quickToCompile();
}

/** Tests make much that is soon garbage: the fewer collections, the less time. */
const V8_FLAGS = "--v8-flags=--min-semi-space-size=64";

/** What the summary of a run says. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly ignored: number;
}

/**
 * Reads the counts in the last summary of an output. A process that fails without a failed test, or says nothing,
 * counts as one failure.
 */
export function countsOf(output: string, code: number): Counts {
  // deno-lint-ignore no-control-regex -- colours
  const summary = output.replaceAll(/\x1b\[[0-9;]*m/g, "").split("\n").findLast((line) =>
    /^(ok|FAILED) \| /.test(line)
  );
  const count = (name: string): number => Number(summary?.match(new RegExp(`(\\d+) ${name}`))?.[1] ?? 0);
  const failed = count("failed");
  return {
    passed: count("passed"),
    failed: failed === 0 && (code !== 0 || summary === undefined) ? 1 : failed,
    ignored: count("ignored"),
  };
}

/** The test files of a folder, those that take longest first. */
export async function testFiles(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) files.push(...await testFiles(`${folder}/${name}`));
    else if (name.endsWith("_test.ts")) files.push(`${folder}/${name}`);
  }
  const rank = (file: string): number => (LONGEST.includes(file) ? LONGEST.indexOf(file) : LONGEST.length);
  return files.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/** How a process ended. */
export interface Ended {
  readonly code: number;
  readonly signal: string | null;
  readonly output: string;
}

/**
 * Whether a process was ended by a signal when all its tests had passed. Mesa's software drivers corrupt the heap now
 * and then while the process exits, in one of some 100 processes that compiled shaders for the first time (glibc then
 * aborts in a thread that ends beside the exit handlers; seen through OpenGL and through Vulkan, Mesa 22.3). Such a
 * file runs once more, and only how that ends counts.
 */
export function diedWhileUnloading({ code, signal, output }: Ended): boolean {
  const { passed, failed, ignored } = countsOf(output, 0);
  return code !== 0 && signal !== null && passed > 0 && failed === 0 && ignored === 0;
}

/** Runs Deno to its end and prints what it wrote in one piece. */
async function runDeno(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const { code, signal, stdout, stderr } = await new Deno.Command("deno", {
    args: [...args],
    env,
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder(), output = decoder.decode(stdout) + decoder.decode(stderr);
  console.log(output.trim());
  return { code, signal, output };
}

/** What came of a test file. */
export interface FileResult extends Counts {
  readonly file: string;
  readonly seconds: number;
}

/** Names the files that took longest, with their seconds. */
export function longestOf(results: readonly FileResult[], count: number): string {
  const longest = results.toSorted((a, b) => b.seconds - a.seconds).slice(0, count);
  return longest.map(({ file, seconds }) => `${file} ${Math.round(seconds)} s`).join(", ");
}

async function runAll(permissions: readonly string[]): Promise<number> {
  const start = performance.now();
  const files = await testFiles("tests"), waiting = [...files];
  const results: FileResult[] = [];
  // Types are checked once, by one process, while the first tests run; no test checks them again.
  let typesCode = 0;
  const checkTypes = async (): Promise<void> => {
    typesCode = (await runDeno(["check", "--quiet"])).code;
    if (typesCode !== 0) waiting.length = 0;
  };
  const work = async (first?: () => Promise<void>): Promise<void> => {
    await first?.();
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const args = ["test", "--quiet", "--no-check", V8_FLAGS, ...permissions, file];
      const began = performance.now(), run = (): Promise<Ended> => runDeno(args, environmentOf(file));
      let ended = await run();
      if (diedWhileUnloading(ended)) {
        console.log(`${file}: the process was ended by ${ended.signal} when all tests had passed: once more`);
        ended = await run();
      }
      results.push({ file, seconds: (performance.now() - began) / 1000, ...countsOf(ended.output, ended.code) });
    }
  };
  const processes = Math.min(MAX_PROCESSES, navigator.hardwareConcurrency + 1);
  await Promise.all(Array.from({ length: processes }, (_, i) => work(i === 0 ? checkTypes : undefined)));
  if (typesCode !== 0) return typesCode;
  const sum = (name: keyof Counts): number => results.reduce((total, counts) => total + counts[name], 0);
  console.log(`\nTook longest: ${longestOf(results, 12)}`);
  const failed = results.filter((counts) => counts.failed > 0).map(({ file }) => file);
  if (failed.length > 0) console.log(`\nFailed in:\n${failed.join("\n")}`);
  const seconds = Math.round((performance.now() - start) / 1000), time = `${Math.floor(seconds / 60)}m${seconds % 60}s`;
  const ignored = sum("ignored") > 0 ? ` | ${sum("ignored")} ignored` : "";
  console.log(
    `\n${failed.length === 0 ? "ok" : "FAILED"} | ${sum("passed")} passed | ${
      sum("failed")
    } failed${ignored} (${time})`,
  );
  return failed.length === 0 ? 0 : 1;
}

async function runSome(permissions: readonly string[], args: readonly string[]): Promise<number> {
  return (await new Deno.Command("deno", { args: ["test", ...permissions, ...args] }).spawn().status).code;
}

if (import.meta.main) {
  const end = Deno.args.indexOf("--"), permissions = Deno.args.slice(0, end), args = Deno.args.slice(end + 1);
  Deno.exit(args.length === 0 ? await runAll(permissions) : await runSome(permissions, args));
}

/**
 * Stops training runs at random moments, by Ctrl-C and SIGTERM in turns, and checks that every run folder goes on to what an uninterrupted run measures.
 *
 *     deno run --allow-read --allow-write=.scratch --allow-run=deno tests/cli/signal_stress.ts [--runs 30] [--seed 1] [--device cpu]
 */
import { metricsOf, someText, spawnMain } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const STEPS = 24;

/** What came of the stopped runs. */
export interface StressReport {
  /** Runs that stopped in good order: code 130 or 143, and a line that says how to go on. */
  readonly inOrder: number;
  /** Runs that were over before the signal came. */
  readonly finished: number;
  /** Runs that the signal met before they listened, and that left no run folder. */
  readonly unborn: number;
  /** Steps at which the others went on. */
  readonly resumedAt: readonly number[];
}

/** How to stress. */
export interface StressOptions {
  readonly runs: number;
  readonly seed: number;
  readonly device: string;
  /** Hears of each run. */
  readonly say?: (line: string) => void;
}

function flagsOf(folder: string, run: string, device: string): string[] {
  const size = ["--model", "lmm", "--batch", "2", "--seq-len", "32", "--eval-bytes", "64", "--sample-tokens", "16", "--warmup", "0"];
  const schedule = ["--steps", String(STEPS), "--checkpoint-every", "5", "--eval-every", "8"];
  return ["train", "--device", device, "--data", `${folder}/text.txt`, "--out", `${folder}/${run}`, ...size, ...schedule, "--json"];
}

async function runToEnd(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string; milliseconds: number }> {
  const began = performance.now();
  const { code, stdout, stderr } = await spawnMain(args).output();
  const milliseconds = performance.now() - began;
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr), milliseconds };
}

/** Numbers from 0 to 1 that depend on the seed only. */
function* randomNumbers(seed: number): Generator<number, never> {
  for (let state = seed % 2147483646 + 1;;) {
    state = state * 48271 % 2147483647;
    yield state / 2147483647;
  }
}

/**
 * Stops runs and continues them.
 * @throws {Error} naming the run, the signal and the moment, if one does not go on to the same numbers.
 */
export async function stress({ runs, seed, device, say = () => {} }: StressOptions): Promise<StressReport> {
  const report = { inOrder: 0, finished: 0, unborn: 0, resumedAt: [] as number[] };
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(4000));
    const whole = await runToEnd(flagsOf(folder, "whole", device));
    if (whole.code !== 0) throw new Error(`the run without signals failed: ${whole.stderr}`);
    const expected = JSON.stringify(await metricsOf(`${folder}/whole`));
    const random = randomNumbers(seed);
    random.next();
    for (let i = 0; i < runs; i++) {
      const signal = i % 2 === 0 ? "SIGINT" : "SIGTERM", after = random.next().value * whole.milliseconds;
      const what = `run ${i + 1}, ${signal} after ${Math.round(after)} ms of ${Math.round(whole.milliseconds)}`;
      const run = `run-${i}`, args = flagsOf(folder, run, device);
      const child = spawnMain(args);
      const timer = setTimeout(() => {
        try {
          child.kill(signal);
        } catch {
          // It was over already.
        }
      }, after);
      const { code, stderr } = await child.output();
      clearTimeout(timer);
      const said = new TextDecoder().decode(stderr);
      if (code === 0) report.finished++;
      else if (await Deno.stat(`${folder}/${run}/config.json`).then(() => true, () => false)) {
        if (said !== `continue with: deno task train --resume --out ${folder}/${run}\n` && !said.startsWith("stopped before the first step; continue with: ")) {
          throw new Error(`${what}: it ended with ${code} and said ${JSON.stringify(said)}`);
        }
        if (code !== (signal === "SIGINT" ? 130 : 143)) throw new Error(`${what}: it ended with ${code}`);
        report.inOrder++;
        const resumed = await runToEnd([...args, "--resume"]);
        if (resumed.code !== 0) throw new Error(`${what}: it does not go on: ${resumed.stderr}`);
        report.resumedAt.push(JSON.parse(resumed.stdout.split("\n")[0]).step);
      } else report.unborn++;
      say(`${what}: exit ${code}${code === 0 ? "" : `, ${said.trim() || "before it listened"}`}`);
      // What was never begun is begun now; everything must come to the same numbers.
      if (!await Deno.stat(`${folder}/${run}/metrics.jsonl`).then(() => true, () => false)) await runToEnd(args);
      if (JSON.stringify(await metricsOf(`${folder}/${run}`)) !== expected) throw new Error(`${what}: it went on to other numbers`);
      for await (const { name } of Deno.readDir(`${folder}/${run}`)) if (name.endsWith(".part")) throw new Error(`${what}: ${name} is left behind`);
    }
  });
  return report;
}

function option(name: string, fallback: string): string {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? fallback : Deno.args[at + 1];
}

if (import.meta.main) {
  const report = await stress({
    runs: Number(option("runs", "30")),
    seed: Number(option("seed", "1")),
    device: option("device", "cpu"),
    say: (line) => console.log(line),
  });
  console.log(JSON.stringify(report));
}

/**
 * The long form of mpi_test.ts: every model, flag and number of ranks over 50 steps, and ranks that are killed at
 * random moments.
 *
 *     deno task soak:mpi [--steps 50] [--kills 100]      0 leaves a half out
 *
 * Training multiplies differences of rounding: from 1e-7 they grow to 1e-4 within 50 steps. So ranks are compared with
 * one process on `reference`, which computes in 64 bits and rounds nothing but the sums of ranks; and where bits must
 * agree (a state that is sharded or not, 1, 2 and 4 ranks with `--deterministic 4`, a run that was killed and one that
 * was not), both are trained on `cpu` and may not differ at all.
 */
import { runMain, someText } from "../cli/run_main.ts";
import { withFolder } from "../cli/scratch.ts";
import { largestDifference, launch, type LossKind, runRanks } from "./ranks.ts";

const MODELS = ["lmm", "lmm --stream 64", "mac", "mac --stream 64", "transformer --max-length 32"];
const SIZES = [1, 2, 3, 4];
const SMALL = "--preset nano --width 8 --blocks 1 --heads 2 --batch 12 --seq-len 16 --segment 8 --mini-batch 8";
const DUE = "--sample-tokens 0 --eval-bytes 100 --eval-every 25 --checkpoint-every 5 --json";
const TOLERANCE = 1e-5;

function option(name: string, fallback: number): number {
  const at = Deno.args.indexOf(name);
  return at < 0 ? fallback : Number(Deno.args[at + 1]);
}

/** What a run of ranks is compared with. */
interface Comparison {
  readonly what: string;
  /** The folders of two runs. */
  readonly run: string;
  readonly with: string;
  /** How much the losses may differ. */
  readonly tolerance: number;
  /** Which losses. Default: all. */
  readonly kinds?: readonly LossKind[];
}

/** @returns Whether the losses of two runs agree, which is also printed. */
async function agree({ what, run, with: other, tolerance, kinds }: Comparison): Promise<boolean> {
  const difference = await largestDifference(run, other, kinds), agrees = difference <= tolerance;
  console.log(`${agrees ? "ok" : "FAILED"}  ${what}: losses differ by ${difference.toExponential(1)}`);
  return agrees;
}

/** Trains on ranks, or with none in this process. @returns The run's folder. */
async function trained(size: number, words: string, out: string): Promise<string> {
  const args = `${words} --out ${out}`.split(/\s+/);
  const { code, stderr } = size === 0 ? await runMain("train", ...args) : await runRanks(size, { args });
  if (code !== 0) throw new Error(`${size} ranks, ${words}: ${stderr}`);
  return out;
}

/** All numbers of ranks with a model. @returns What did not agree. */
async function compareSizes(folder: string, model: string, always: string): Promise<number> {
  let failed = 0, made = 0;
  const train = (size: number, device: string, more = ""): Promise<string> =>
    trained(
      size,
      `--model ${model} ${always} --device ${device}${more}`,
      `${folder}/${made++} ${model}`.replaceAll(" ", "-"),
    );
  const compare = async (comparison: Comparison): Promise<void> => {
    if (!await agree(comparison)) failed++;
  };
  const alone = await train(0, "reference"), ordered = await train(0, "cpu", " --deterministic 4");
  for (const size of SIZES) {
    const what = `${size} ranks, ${model}`;
    await compare({ what: `${what}, 64 bits`, run: await train(size, "reference"), with: alone, tolerance: TOLERANCE });
    const run = await train(size, "cpu", " --shard"), whole = await train(size, "cpu");
    await compare({ what: `${what}, sharded or not`, run, with: whole, tolerance: 0 });
    if (4 % size !== 0) continue;
    const fixed = await train(size, "cpu", " --deterministic 4 --shard");
    // Validation adds the sums of ranks, in their order.
    await compare({ what: `${what}, in a fixed order`, run: fixed, with: ordered, tolerance: 0, kinds: ["step"] });
  }
  return failed;
}

/**
 * Starts two ranks and kills a random one: after some steps, or, one time in six, at a random moment of its start.
 * @returns The exit code, what was said, and how many steps were made.
 */
async function killedRanks(folder: string, args: readonly string[]) {
  const before = `echo $$ > ${folder}/pid-$RANK`, child = launch(2, { args, before });
  const kill = async (): Promise<void> => {
    const pid = await Deno.readTextFile(`${folder}/pid-${Math.floor(2 * Math.random())}`).catch(() => "");
    if (pid !== "") await new Deno.Command("kill", { args: ["-KILL", pid.trim()], stderr: "null" }).output();
  };
  const last = Math.random() < 1 / 6 ? Infinity : Math.floor(16 * Math.random());
  const timer = last === Infinity ? setTimeout(kill, 500 + 3000 * Math.random()) : undefined;
  const stderr = new Response(child.stderr).text();
  let text = "", steps = 0;
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += part;
    const seen = text.match(/"event":"step"/g)?.length ?? 0;
    // Somewhere within the step, or while it is saved.
    if (steps <= last && seen > last) setTimeout(kill, 50 * Math.random());
    steps = seen;
  }
  clearTimeout(timer);
  return { code: (await child.status).code, stderr: await stderr, steps };
}

/** Kills ranks, time and again. @returns Whether the run comes to what it does without. */
async function compareKilled(folder: string, kills: number, always: string): Promise<boolean> {
  const words = `--model lmm --stream 64 --steps ${10 * kills} ${always} --device cpu`, run = `${folder}/killed`;
  const whole = await trained(2, words, `${folder}/whole`);
  let within = 0, made = 0;
  for (let kill = 0;; kill++) {
    const begun = await Deno.stat(`${run}/checkpoint.safetensors`).then(() => true, () => false);
    const resumed = `${DUE} --device cpu --cache ${folder}/cache --resume`;
    const args = `${begun ? resumed : words} --out ${run}`.split(/\s+/);
    const { code, stderr, steps } = kill < kills
      ? await killedRanks(folder, args)
      : { ...await runRanks(2, { args }), steps: 0 };
    if (code === 0 || /complete at step/.test(stderr)) {
      console.log(`complete after ${kill} kills, ${within} of them between steps, of which ${made} were made`);
      return await agree({ what: "ranks killed at random moments", run, with: whole, tolerance: 0 });
    }
    if (kill >= kills) throw new Error(stderr);
    made += steps;
    if (steps > 0) within++;
  }
}

await withFolder(async (folder) => {
  await Deno.writeTextFile(`${folder}/text.txt`, someText(20_000));
  const always = `${SMALL} ${DUE} --data ${folder}/text.txt --cache ${folder}/cache`;
  let failed = 0;
  const steps = option("--steps", 50), kills = option("--kills", 100);
  for (const model of steps > 0 ? MODELS : []) {
    failed += await compareSizes(folder, model, `${always} --steps ${steps}`);
  }
  if (kills > 0 && !await compareKilled(folder, kills, always)) failed++;
  console.log(failed === 0 ? "all agree" : `${failed} do not agree`);
  Deno.exitCode = failed === 0 ? 0 : 1;
});

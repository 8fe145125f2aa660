/**
 * The long form of mpi_test.ts: every model, flag and number of ranks over 50 steps, and ranks that are killed at
 * random moments.
 *
 *     deno task soak:mpi --help
 *
 * What ranks add up in another order differs in the last place, and a model that learns while it reads multiplies such
 * differences: how much is measured here, by a process whose weights are moved by a unit in the last place after the
 * first step. So ranks are compared with one process
 *
 * - on `reference`, which computes in 64 bits and rounds nothing but the sums of ranks, to 1e-5;
 * - on `cpu`, in 32 bits, to 1e-6 over the first steps, and over all to 1e-5 or to what the moved weights make of it;
 * - bit by bit where bits must agree: a state that is sharded or not, 1, 2 and 4 ranks with `--deterministic 4`, and a
 *   run that was killed and one that was not.
 *
 * In every step ranks see for themselves that each row of the batch was taken once (titans/train/rows_seen.ts).
 */
import { integer } from "../../cli/flags.ts";
import { decodeSafetensors, encodeSafetensors } from "../../titans/models/safetensors.ts";
import { runMain, someText } from "../cli/run_main.ts";
import { withFolder } from "../cli/scratch.ts";
import { runTool } from "../tool.ts";
import { type DifferenceOptions, largestDifference, launch, runRanks } from "./ranks.ts";

const MODELS = ["lmm", "lmm --stream 64", "mac", "mac --stream 64", "transformer --max-length 32"];
const SIZES = [1, 2, 3, 4];
const SMALL = "--preset nano --width 8 --blocks 1 --heads 2 --batch 12 --seq-len 16 --segment 8 --mini-batch 8";
// The rate of a step must not depend on how many follow, so that a run can go on from its first one.
const RATE = "--schedule constant --warmup 1";
const DUE = "--sample-tokens 0 --eval-bytes 100 --eval-every 25 --checkpoint-every 5 --json";
const TOLERANCE = 1e-5, EARLY = { steps: 10, tolerance: 1e-6 }, MOVED = 3;

/** What a run of ranks is compared with. */
interface Comparison extends DifferenceOptions {
  readonly what: string;
  /** The folders of two runs. */
  readonly run: string;
  readonly with: string;
  /** How much the losses may differ, relative to them. */
  readonly tolerance: number;
}

/** @returns Whether the losses of two runs agree, which is also printed. */
async function agree({ what, run, with: other, tolerance, ...which }: Comparison): Promise<boolean> {
  const difference = await largestDifference(run, other, which), agrees = difference <= tolerance;
  const [found, allowed] = [difference, tolerance].map((value) => value.toExponential(1));
  console.log(`${agrees ? "ok" : "FAILED"}  ${what}: losses differ by ${found}, ${allowed} allowed`);
  return agrees;
}

/** Trains on ranks, or with none in this process. @returns The run's folder. */
async function trained(size: number, words: string, out: string): Promise<string> {
  const args = `${words} --out ${out}`.split(/\s+/);
  const { code, stderr } = size === 0 ? await runMain("train", ...args) : await runRanks(size, { args });
  if (code !== 0) throw new Error(`${size} ranks, ${words}: ${stderr}`);
  return out;
}

/** Moves the weights of a checkpoint by a unit in the last place, up or down or not at all. */
async function moveWeights(path: string, seed: number): Promise<void> {
  const { tensors, metadata } = decodeSafetensors(await Deno.readFile(path));
  let state = seed;
  for (const [name, { data }] of Object.entries(tensors)) {
    if (/^(optimizer|stream)\./.test(name)) continue;
    const bits = new Int32Array(data.buffer, data.byteOffset, data.length);
    for (let i = 0; i < bits.length; i++) {
      state = state * 48271 % 2147483647;
      if (data[i] !== 0) bits[i] += state % 3 - 1;
    }
  }
  await Deno.writeFile(path, encodeSafetensors({ tensors, metadata }));
}

/** Flags of a run on `cpu` that goes on. */
function resumedIn(folder: string): string {
  return `--resume ${DUE} --device cpu --cache ${folder}/cache`;
}

/**
 * How far the losses of one process come from those of `alone` if its weights are moved a little after the first step.
 * @param begun Flags of the first step. @param resumed Those of the others.
 */
async function sensitivity(alone: string, begun: string, resumed: string): Promise<number> {
  let largest = 0;
  for (let seed = 1; seed <= MOVED; seed++) {
    const run = await trained(0, `${begun} --steps 1`, `${alone}-moved-${seed}`);
    await moveWeights(`${run}/checkpoint.safetensors`, seed);
    await trained(0, resumed, run);
    const kinds = ["step"] as const, early = await largestDifference(run, alone, { kinds, first: EARLY.steps });
    if (early > EARLY.tolerance) throw new Error(`moved weights change the first losses by ${early}`);
    largest = Math.max(largest, await largestDifference(run, alone, { kinds }));
  }
  return largest;
}

/** All numbers of ranks with a model. @returns What did not agree. */
async function compareSizes(folder: string, model: string, always: string, steps: number): Promise<number> {
  let failed = 0, made = 0;
  const wordsOn = (device: string): string => `--model ${model} ${always} --device ${device}`;
  const train = (size: number, device: string, more = ""): Promise<string> =>
    trained(size, `${wordsOn(device)} --steps ${steps}${more}`, `${folder}/${made++} ${model}`.replaceAll(" ", "-"));
  const compare = async (comparison: Comparison): Promise<void> => {
    if (!await agree(comparison)) failed++;
  };
  const exact = await train(0, "reference"), alone = await train(0, "cpu");
  const ordered = await train(0, "cpu", " --deterministic 4");
  const moved = await sensitivity(alone, wordsOn("cpu"), `${resumedIn(folder)} --steps ${steps}`);
  console.log(`    one process, ${model}, weights moved by a unit in the last place: ${moved.toExponential(1)}`);
  for (const size of SIZES) {
    const what = `${size} ${size === 1 ? "rank" : "ranks"}, ${model}`;
    await compare({ what: `${what}, 64 bits`, run: await train(size, "reference"), with: exact, tolerance: TOLERANCE });
    const whole = await train(size, "cpu"), kinds = ["step"] as const;
    const early = { run: whole, with: alone, kinds, first: EARLY.steps, tolerance: EARLY.tolerance };
    await compare({ what: `${what}, 32 bits, the first ${EARLY.steps} steps`, ...early });
    const tolerance = Math.max(TOLERANCE, moved);
    await compare({ what: `${what}, 32 bits`, run: whole, with: alone, kinds, tolerance });
    const run = await train(size, "cpu", " --shard");
    await compare({ what: `${what}, sharded or not`, run, with: whole, tolerance: 0 });
    if (4 % size !== 0) continue;
    const fixed = await train(size, "cpu", " --deterministic 4 --shard");
    // Validation adds the sums of ranks, in their order.
    await compare({ what: `${what}, in a fixed order`, run: fixed, with: ordered, tolerance: 0, kinds });
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
    const args = `${begun ? resumedIn(folder) : words} --out ${run}`.split(/\s+/);
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

async function soak({ steps, kills }: { readonly steps: number; readonly kills: number }): Promise<number> {
  let failed = 0;
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(20_000));
    const always = `${SMALL} ${RATE} ${DUE} --data ${folder}/text.txt --cache ${folder}/cache`;
    for (const model of steps > 0 ? MODELS : []) {
      failed += await compareSizes(folder, model, always, steps);
    }
    if (kills > 0 && !await compareKilled(folder, kills, always)) failed++;
  });
  console.log(failed === 0 ? "all agree" : `${failed} do not agree`);
  return failed === 0 ? 0 : 1;
}

await runTool({
  task: "soak:mpi",
  about:
    `Trains every kind of model on 1 to 4 ranks of MPI and kills ranks at random moments, and fails if their losses are
not those of one process. Some twenty minutes on two cores.`,
  flags: {
    steps: integer("steps of each run whose losses are compared; 0 compares none", 50, { min: 0 }),
    kills: integer("ranks to kill at random moments; 0 kills none", 100, { min: 0 }),
  },
  run: soak,
});

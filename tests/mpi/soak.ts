/**
 * The long form of mpi_test.ts: every model, flag and number of ranks over 50 steps, and ranks that are killed at random
 * moments.
 *
 *     deno task soak:mpi [--steps 50] [--kills 100]
 */
import { runMain, someText } from "../cli/run_main.ts";
import { withFolder } from "../cli/scratch.ts";
import { largestDifference, runRanks } from "./ranks.ts";

const MODELS = ["lmm", "mac", "transformer --max-length 32"];
const FLAGS = ["", "--shard", "--stream 64", "--shard --stream 64"];
const SMALL = "--preset nano --width 8 --blocks 1 --heads 2 --batch 12 --seq-len 16 --segment 8 --mini-batch 8";
const DUE = "--device reference --sample-tokens 0 --eval-bytes 100 --eval-every 25 --checkpoint-every 5 --json";
const TOLERANCE = 1e-5;

function option(name: string, fallback: number): number {
  const at = Deno.args.indexOf(name);
  return at < 0 ? fallback : Number(Deno.args[at + 1]);
}

/** Trains alone, which is not a matter of sharding. @returns The run's folder. */
async function trainAlone(folder: string, name: string, words: string): Promise<string> {
  const args = `${words.replace("--shard", "")} --out ${folder}/${name}`.split(/\s+/).filter(Boolean);
  const { code, stderr } = await runMain("train", ...args);
  if (code !== 0) throw new Error(stderr);
  return `${folder}/${name}`;
}

/** Compares a run of ranks with that of one process. @returns Whether they agree. */
async function compare(what: string, run: string, alone: string): Promise<boolean> {
  const difference = await largestDifference(run, alone), agrees = difference < TOLERANCE;
  console.log(`${agrees ? "ok" : "FAILED"}  ${what}: losses differ by ${difference.toExponential(1)}`);
  return agrees;
}

await withFolder(async (folder) => {
  const steps = option("--steps", 50), kills = option("--kills", 100);
  await Deno.writeTextFile(`${folder}/text.txt`, someText(20_000));
  const always = `${SMALL} ${DUE} --data ${folder}/text.txt --cache ${folder}/cache`;
  let failed = 0, made = 0;
  for (const model of MODELS) {
    for (const flags of FLAGS) {
      // Streams need attention that can go on without end.
      if (model.startsWith("transformer") && flags.includes("--stream")) continue;
      const words = `--model ${model} ${flags} --steps ${steps} ${always}`;
      const alone = await trainAlone(folder, `alone-${++made}`, words);
      for (const size of [1, 2, 3, 4]) {
        const out = `${folder}/run-${made}-${size}`, args = `${words} --out ${out}`.split(/\s+/).filter(Boolean);
        const { code, stderr } = await runRanks(size, { args });
        const what = `${size} ranks, ${model} ${flags}`;
        if (code !== 0) console.log(`FAILED  ${what}: ${stderr}`);
        if (code !== 0 || !await compare(what, out, alone)) failed++;
      }
    }
  }
  const words = `--model lmm --stream 64 --steps ${10 * kills} ${always}`;
  const alone = await trainAlone(folder, "alone", words), out = `${folder}/killed`;
  for (let kill = 0;; kill++) {
    const begun = await Deno.stat(`${out}/checkpoint.safetensors`).then(() => true, () => false);
    const args = begun ? `${DUE} --cache ${folder}/cache --out ${out} --resume` : `${words} --out ${out}`;
    const victim = Math.floor(2 * Math.random()), seconds = (0.5 + 3 * Math.random()).toFixed(2);
    const by = kill < kills ? `[ $RANK = ${victim} ] && exec timeout -s KILL ${seconds} "$@"; ` : "";
    const launch = { args: args.split(/\s+/), before: `start() { ${by}exec "$@"; }`, by: "start" };
    const { code, stderr } = await runRanks(2, launch);
    if (code === 0 || /complete at step/.test(stderr)) {
      console.log(`complete after ${kill} kills`);
      break;
    }
    if (kill >= kills) throw new Error(stderr);
  }
  if (!await compare("ranks killed at random moments", out, alone)) failed++;
  console.log(failed === 0 ? "all agree" : `${failed} do not agree`);
  Deno.exitCode = failed === 0 ? 0 : 1;
});

/**
 * Training on two hosts whose link delays, loses and is cut: `deno task soak:hosts --help`. The hosts are those of
 * two_hosts.sh.
 */
import { UsageError } from "../../cli/errors.ts";
import { integer, number, type Values } from "../../cli/flags.ts";
import { runMain, someText } from "../cli/run_main.ts";
import { withFolder } from "../cli/scratch.ts";
import { runTool } from "../tool.ts";
import { largestDifference } from "./ranks.ts";

const FLAGS = {
  steps: integer("steps of each run", 50, { min: 20 }),
  delay: number("milliseconds that the link takes each way", 10, { min: 0 }),
  loss: number("percent of its frames that are lost each way", 1, { min: 0, max: 50 }),
  pings: integer("packets that measure the link", 500, { min: 1 }),
  cut: integer("seconds for which the link is cut", 60, { min: 1 }),
  rankTimeout: integer("seconds that ranks wait for each other meanwhile", 20, { min: 1 }),
} as const;

const MODELS = ["lmm", "mac", "transformer --max-length 128"];
const SCRIPT = "tests/mpi/two_hosts.sh", CUT_AFTER = 12;
const EARLY = { steps: 10, tolerance: 1e-6 }, TOLERANCE = 1e-5;
const SIZE = "--batch 8 --seq-len 128 --device cpu --sample-tokens 0 --eval-bytes 100 --checkpoint-every 5 --json";

const started = new Set<Deno.ChildProcess>();
let failed = 0;

function script(...args: string[]): Deno.ChildProcess {
  const child = new Deno.Command("sh", { args: [SCRIPT, ...args], stdin: "null", stdout: "piped", stderr: "piped" })
    .spawn();
  started.add(child);
  child.status.then(() => started.delete(child));
  return child;
}

/** Runs the script to its end. @returns What it printed. @throws what it reported. */
async function hosts(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await script(...args).output();
  if (!success) throw new UsageError(new TextDecoder().decode(stderr).trim());
  return new TextDecoder().decode(stdout);
}

function check(what: string, holds: boolean, found: string): void {
  console.log(`${holds ? "ok" : "FAILED"}  ${what}: ${found}`);
  if (!holds) failed++;
}

async function compare(what: string, run: string, other: string, tolerance: number, first = Infinity): Promise<void> {
  const difference = await largestDifference(run, other, { kinds: ["step"], first });
  const shown = `losses differ by ${difference.toExponential(1)}, ${tolerance.toExponential(1)} allowed`;
  check(what, difference <= tolerance, shown);
}

interface Ended {
  readonly code: number;
  readonly stderr: string;
  readonly tokensPerSecond: number;
}

/** Trains on both hosts. @param onStep Called with the number of steps made, and what stands on stderr so far. */
async function train(words: string, onStep = (_step: number): void => {}, onError = (_text: string): void => {}) {
  const child = script("train", ...words.split(" "));
  let stdout = "", stderr = "", steps = 0;
  const errors = (async () => {
    for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) onError(stderr += part);
  })();
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    stdout += part;
    const made = stdout.match(/"event":"step"/g)?.length ?? 0;
    if (made > steps) onStep(steps = made);
  }
  await errors;
  const done = /^\{"event":"done".*$/m.exec(stdout)?.[0];
  const { tokensPerSecond = 0 } = JSON.parse(done ?? "{}") as { tokensPerSecond?: number };
  return { code: (await child.status).code, stderr, tokensPerSecond } satisfies Ended;
}

async function trained(words: string): Promise<number> {
  const { code, stderr, tokensPerSecond } = await train(words);
  if (code !== 0) throw new Error(`${words}: ${stderr}`);
  return Math.round(tokensPerSecond);
}

/** All models over a link. @param link Its name. @returns Tokens per second. */
async function overLink(link: string, folder: string, words: (model: string) => string): Promise<number[]> {
  const speeds: number[] = [];
  for (const [i, model] of MODELS.entries()) {
    speeds.push(await trained(`${words(model)} --threads 1 --out ${folder}/${link}-${i}`));
  }
  return speeds;
}

/** Cuts the link for a time while the first model trains, mends it and goes on. */
async function cutLink(folder: string, words: string, { cut, rankTimeout }: { cut: number; rankTimeout: number }) {
  const run = `${folder}/cut`, seconds: number[] = [];
  let whenCut = 0, mended: Promise<unknown> | undefined;
  const { code, stderr } = await train(
    `${words} --threads 1 --out ${run} --rank-timeout ${rankTimeout}`,
    (step) => {
      if (step < CUT_AFTER || mended) return;
      whenCut = performance.now();
      mended = hosts("cut").then(() => new Promise((resolve) => setTimeout(resolve, 1000 * cut)))
        .then(() => hosts("mend"));
    },
    (text) => {
      while (seconds.length < (text.match(/error: waited/g)?.length ?? 0)) {
        seconds.push((performance.now() - whenCut) / 1000);
      }
    },
  );
  const all = (performance.now() - whenCut) / 1000;
  await mended;
  const lines = stderr.split("\n").filter((line) => line.includes("error: waited"));
  const both = lines.length === 2 && lines.filter((line) => line.startsWith("rank 1: ")).length === 1;
  check(`cut for ${cut} s, each rank says why it ends`, code !== 0 && both, lines.join("\n    ") || stderr);
  console.log(`    the first line ${seconds[0]?.toFixed(0)} s after the cut, mpirun ended after ${all.toFixed(0)} s`);
  await trained(`--resume --out ${run} --threads 1 ${SIZE.slice(SIZE.indexOf("--device"))} --cache ${folder}/cache`);
  await compare("cut and resumed, and not cut", run, `${folder}/lossy-0`, 0);
}

async function compareHosts(
  folder: string,
  { steps, delay, loss, pings, cut, rankTimeout }: Values<typeof FLAGS>,
): Promise<void> {
  await hosts("up", String(delay), String(loss));
  const [, transmitted, received, lost, rtt] =
    /(\d+) packets transmitted, (\d+) received, ([\d.]+)% packet loss[^]*? = ([\d./]+) ms/.exec(
      await hosts("ping", String(pings)),
    ) ?? [];
  console.log(`    ping: ${received} of ${transmitted} came back (${lost}% lost), min/avg/max/mdev ${rtt} ms`);
  check(`a round trip takes twice ${delay} ms`, Number(rtt?.split("/")[0]) >= 2 * delay, `${rtt?.split("/")[0]} ms`);
  check("packets are lost", loss === 0 || Number(lost) > 0, `${lost}% on two ways`);
  await Deno.writeTextFile(`${folder}/text.txt`, someText(20_000));
  const words = (model: string): string =>
    `--model ${model} --steps ${steps} ${SIZE} --data ${folder}/text.txt --cache ${folder}/cache`;
  for (const [i, model] of MODELS.entries()) {
    const { code, stderr } = await runMain("train", ...`${words(model)} --out ${folder}/alone-${i}`.split(" "));
    if (code !== 0) throw new Error(stderr);
  }
  const lossy = await overLink("lossy", folder, words);
  await cutLink(folder, words(MODELS[0]), { cut, rankTimeout });
  await hosts("down");
  await hosts("up");
  const plain = await overLink("plain", folder, words);
  for (const [i, model] of MODELS.entries()) {
    const run = `${folder}/lossy-${i}`, name = model.split(" ")[0];
    await compare(`${name}, the link as it is and with ${delay} ms and ${loss}%`, run, `${folder}/plain-${i}`, 0);
    await compare(`${name}, two hosts and one process`, run, `${folder}/alone-${i}`, TOLERANCE);
    await compare(`${name}, the first steps`, run, `${folder}/alone-${i}`, EARLY.tolerance, EARLY.steps);
    console.log(`    ${name}: ${plain[i]} tokens per second over the link as it is, ${lossy[i]} with delay and loss`);
  }
}

/** Ends what was started, whatever became of it. */
async function cleanUp(): Promise<void> {
  for (const child of started) {
    try {
      child.kill("SIGTERM");
    } catch {
      // It has just ended.
    }
  }
  await hosts("down");
}

/** @returns The exit code, that of a signal if one stopped it. @throws {UsageError} if hosts cannot be made here. */
async function soak(values: Values<typeof FLAGS>): Promise<number> {
  let code = 0;
  await withFolder(async (folder) => {
    const stopped = Promise.withResolvers<number>();
    Deno.addSignalListener("SIGINT", () => stopped.resolve(130));
    Deno.addSignalListener("SIGTERM", () => stopped.resolve(143));
    try {
      code = await Promise.race([compareHosts(folder, values).then(() => failed === 0 ? 0 : 1), stopped.promise]);
      if (code < 2) console.log(failed === 0 ? "all agree" : `${failed} do not agree`);
    } finally {
      await cleanUp().catch(() => {});
    }
  });
  return code;
}

await runTool({
  task: "soak:hosts",
  about: `Trains LMM, MAC and a Transformer on two hosts, which are network namespaces with a link between them:
with delay and loss, with a cut, and as it is. Compares losses, also with those of one process. Takes
some ten minutes. Needs root, iproute2, ping, Open MPI, and a kernel with netem or /dev/net/tun and python3.`,
  flags: FLAGS,
  run: soak,
});

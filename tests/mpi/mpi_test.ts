/** `train` on ranks that mpirun starts: the numbers of one process, and a clear end whatever happens to a rank. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { UsageError } from "../../cli/errors.ts";
import { launchedProcesses, LAUNCHER_VARIABLES } from "../../cli/launched.ts";
import { openLibrary } from "../../cli/mpi/library.ts";
import { readRankProfile } from "../../cli/rank_profile.ts";
import { RankTimeout, waitingAtMost } from "../../cli/ranks.ts";
import { localCollectives } from "../../titans/mod.ts";
import { threadsPerRank } from "../../cli/mpi/threads.ts";
import { runMain, someText } from "../cli/run_main.ts";
import { withFolder } from "../cli/scratch.ts";
import { hasMpi, largestDifference, launch, runRanks } from "./ranks.ts";

const ignore = !await hasMpi();
if (ignore) console.error("tests of several ranks are left out: there is no mpirun; run deno task setup:mpi");

const SMALL = "--preset nano --width 8 --blocks 1 --heads 2 --batch 12 --seq-len 16 --segment 8 --mini-batch 8".split(
  " ",
);
const SHORT = "--device reference --sample-tokens 0 --eval-bytes 100 --json".split(" ");

/** The flags of a small run: a new one, or one that is resumed. */
function flags(folder: string, run: string, ...more: string[]): string[] {
  const made = more.includes("--resume") ? [] : [...SMALL, "--data", `${folder}/text.txt`];
  return [...made, ...SHORT, "--cache", `${folder}/cache`, "--out", `${folder}/${run}`, ...more];
}

async function withText(use: (folder: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(4000));
    await use(folder);
  });
}

const CASES = [
  [2, "--model lmm"],
  [3, "--model mac --stream 64 --shard"],
  [4, "--model transformer --max-length 32 --shard --deterministic 4"],
  [2, "--model lmm --compress int8 --precision f16", 1e-2],
] as const;
const IDLE_ALONE = ["--shard", "--compress", "int8"];
for (const [size, words, tolerance = 1e-5] of CASES) {
  Deno.test({
    name: `mpi: ${size} ranks give the losses of one process to ${tolerance}, and one run folder: ${words}`,
    ignore,
    fn: () =>
      withText(async (folder) => {
        const more = [...words.split(" "), "--steps", "4", "--eval-every", "2", "--checkpoint-every", "3"];
        const alone = await runMain(
          "train",
          ...flags(
            folder,
            "alone",
            ...more.filter((word) => !IDLE_ALONE.includes(word)),
          ),
        );
        assertEquals(alone.code, 0, alone.stderr);
        const { code, stdout, stderr } = await runRanks(size, { args: flags(folder, "ranks", ...more) });
        assertEquals(code, 0, stderr);
        const difference = await largestDifference(`${folder}/ranks`, `${folder}/alone`);
        assert(difference < tolerance, `losses differ by ${difference}`);
        const events = stdout.trim().split("\n").map((line) => JSON.parse(line).event);
        assertEquals(
          events.filter((event) => event === "start" || event === "done"),
          ["start", "done"],
          "one rank prints",
        );
        const files = (run: string) => Array.from(Deno.readDirSync(`${folder}/${run}`), ({ name }) => name).sort();
        assertEquals(files("ranks"), files("alone"));
      }),
  });
}

Deno.test({
  name:
    "mpi: SIGUSR1 stops all ranks after the same step, saves once, and other numbers of ranks go on to the same losses",
  ignore,
  fn: () =>
    withText(async (folder) => {
      const model = "--model lmm --stream 64 --schedule constant --warmup 1".split(" "), run = `${folder}/run`;
      const child = launch(3, { args: flags(folder, "run", ...model, "--steps", "500", "--checkpoint-every", "500") });
      const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      let seen = "";
      while (!seen.includes('"step":2,')) {
        const { value, done } = await reader.read();
        assert(!done, `the run ended: ${seen}`);
        seen += value;
      }
      child.kill("SIGUSR1");
      for (let part = await reader.read(); !part.done; part = await reader.read()) seen += part.value;
      const stderr = await new Response(child.stderr).text();
      assert((await child.status).code !== 0, "a stop is no success");
      const done = seen.trim().split("\n").map((line) => JSON.parse(line)).at(-1);
      assertEquals([done.event, done.interrupted], ["done", true], stderr);
      assertMatch(stderr, new RegExp(`^continue with: mpirun -n 3 deno task train:mpi --resume --out ${run}$`, "m"));
      const steps = done.step + 3;
      const resumed = await runRanks(2, { args: flags(folder, "run", "--resume", "--steps", String(steps)) });
      assertEquals(resumed.code, 0, resumed.stderr);
      const alone = await runMain("train", ...flags(folder, "alone", ...model, "--steps", String(steps)));
      assertEquals(alone.code, 0, alone.stderr);
      const difference = await largestDifference(run, `${folder}/alone`);
      assert(difference < 1e-5, `losses differ by ${difference}`);
    }),
});

Deno.test({
  name: "mpi: ranks that are killed at any moment end all, and relaunching gives the losses of an uninterrupted run",
  ignore,
  fn: () =>
    withText(async (folder) => {
      const due = "--eval-every 6 --checkpoint-every 2".split(" ");
      const run = [..."--model lmm --steps 12 --stream 64".split(" "), ...due];
      const alone = await runMain("train", ...flags(folder, "alone", ...run));
      assertEquals(alone.code, 0, alone.stderr);
      const exists = (name: string) => Deno.stat(`${folder}/run/${name}`).then(() => true, () => false);
      const args = async () =>
        await exists("checkpoint.safetensors")
          ? flags(folder, "run", "--resume", ...due)
          : flags(folder, "run", ...run);
      for (const [victim, seconds] of [[1, 1.2], [0, 2.1], [1, 2.4]]) {
        const by = `[ $RANK = ${victim} ] && exec timeout -s KILL ${seconds}`;
        const { code } = await runRanks(2, {
          args: await args(),
          before: `start() { ${by} "$@"; exec "$@"; }`,
          by: "start",
        });
        if (code === 0) break;
      }
      const last = await runRanks(2, { args: await args() });
      assert(last.code === 0 || /complete at step/.test(last.stderr), last.stderr);
      const difference = await largestDifference(`${folder}/run`, `${folder}/alone`);
      assert(difference < 1e-5, `losses differ by ${difference}`);
    }),
});

Deno.test({
  name:
    "mpi: ranks wait for one that hangs as long as --rank-timeout says, and a relaunch gives the losses of one process",
  ignore,
  fn: () =>
    withText(async (folder) => {
      const due = "--eval-every 0 --checkpoint-every 2 --schedule constant --warmup 1".split(" ");
      const args = flags(folder, "run", "--model", "lmm", "--rank-timeout", "15", ...due, "--steps", "500"),
        run = `${folder}/run`;
      const child = launch(2, { args, before: `echo $$ > ${folder}/pid-$RANK` });
      const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      let seen = "";
      while (!seen.includes('"step":6,')) {
        const { value, done } = await reader.read();
        assert(!done, `the run ended: ${seen}`);
        seen += value;
      }
      const pid = (await Deno.readTextFile(`${folder}/pid-1`)).trim();
      await new Deno.Command("bash", { args: ["-c", `kill -STOP ${pid}`] }).output();
      while (!(await reader.read()).done);
      const stderr = await new Response(child.stderr).text();
      assert((await child.status).code !== 0);
      const said =
        /^error: waited 15 s for the other ranks \(--rank-timeout\): .*; the checkpoint of step (\d+) is safe, continue from it with: mpirun -n 2 deno task train:mpi --resume --out (\S+)$/m
          .exec(stderr);
      assertEquals(said?.[2], run, stderr);
      const steps = String(Number(said![1]) + 3);
      const resumed = await runRanks(2, { args: flags(folder, "run", "--resume", "--steps", steps) });
      assertEquals(resumed.code, 0, resumed.stderr);
      const alone = await runMain("train", ...flags(folder, "alone", "--model", "lmm", ...due, "--steps", steps));
      assertEquals(alone.code, 0, alone.stderr);
      const difference = await largestDifference(run, `${folder}/alone`, { kinds: ["step"] });
      assert(difference < 1e-5, `losses differ by ${difference}`);
    }),
});

Deno.test("mpi: every wait for other ranks has an end, and operations that all ranks join are unchanged", async () => {
  const [first, second] = localCollectives(2).map((ranks) => waitingAtMost(ranks, 3600));
  const data = [first, second].map(() => Float32Array.of(1, 2));
  await Promise.all([first.allReduceSum(data[0]), second.allReduceSum(data[1])]);
  assertEquals(data[0], Float32Array.of(2, 4));
  const parts = await Promise.all(
    [first, second].map((ranks, i) => ranks.exchange([Uint8Array.of(i), new Uint8Array(1)])),
  );
  assertEquals(parts[0], [Uint8Array.of(0), Uint8Array.of(1)]);
  const gathered = await Promise.all([first, second].map((ranks, i) => ranks.gather(Uint8Array.of(i), 1)));
  assertEquals(gathered, [[], [Uint8Array.of(0), Uint8Array.of(1)]]);
  for (const name of ["allReduceSum", "broadcast", "gather", "exchange", "barrier"] as const) {
    const [alone] = localCollectives(2).map((ranks) => waitingAtMost(ranks, 0.01));
    const given = {
      allReduceSum: data[0],
      broadcast: parts[0][0],
      gather: parts[0][0],
      exchange: parts[0],
      barrier: 0,
    };
    await assertRejects(() => alone[name](given[name] as never), RankTimeout, "waited 0.01 s for the other ranks");
  }
});

Deno.test({
  name: "mpi: an error on one rank ends all with its message, said once",
  ignore,
  fn: () =>
    withText(async (folder) => {
      await Deno.mkdir(`${folder}/elsewhere`);
      const before = `[ $RANK = 1 ] && cd ${folder}/elsewhere`;
      const { code, stderr } = await runRanks(2, {
        args: flags(folder, "run", "--model", "lmm"),
        before: `${before}; true`,
      });
      assert(code !== 0);
      assertEquals(stderr.match(/^rank 1: error: .*text\.txt.*$/gm)?.length, 1, stderr);
      const wrong = await runRanks(2, { args: ["--batch", "0"] });
      assertEquals(wrong.stderr.match(/error: --batch/g)?.length, 1, wrong.stderr);
    }),
});

Deno.test("mpi: without a library one line says what to install", async () => {
  const { code, stderr } = await new Deno.Command("deno", {
    args: ["run", "--no-prompt", "--allow-read", "--allow-env=MNEME_MPI", "--allow-ffi", "cli/mpi/main.ts", "train"],
    env: { MNEME_MPI: "/nowhere/libmpi.so", NO_COLOR: "1" },
  }).output();
  assertEquals(code, 2);
  assertMatch(
    new TextDecoder().decode(stderr),
    /^error: MNEME_MPI names \/nowhere\/libmpi\.so, which is no MPI library: .*\n$/,
  );
});

Deno.test("mpi: ranks of a machine divide its cores, however the launcher binds them", () => {
  const place = (host: string, cores: string) => ({ host, cores }), many = Array.from<unknown>({ length: 4 });
  const unbound = many.map(() => place("a", "0-7"));
  assertEquals(threadsPerRank(unbound, unbound[0], 8), 2);
  const bound = many.map((_, i) => place("a", `${2 * i}-${2 * i + 1}`));
  assertEquals(threadsPerRank(bound, bound[3], 2), 2);
  const two = [...unbound.slice(0, 2), place("b", "0-1")];
  assertEquals([threadsPerRank(two, two[0], 8), threadsPerRank(two, two[2], 2)], [4, 2]);
  assertEquals(threadsPerRank(many.map(() => place("a", "0")), place("a", "0"), 1), 1);
  assertEquals(threadsPerRank([place("a", ""), place("a", "")], place("a", ""), 6), 3);
});

Deno.test("mpi: `train` and `evaluate` in a process that was launched with others say which command shares", async () => {
  for (const variable of LAUNCHER_VARIABLES) {
    const { code, stderr } = await new Deno.Command("deno", {
      args: ["run", "--no-prompt", "--no-check", "--allow-read", `--allow-env=${variable}`, "main.ts", "train"],
      env: { [variable]: "2", NO_COLOR: "1" },
    }).output();
    assertEquals(code, 2);
    assertMatch(
      new TextDecoder().decode(stderr),
      /^error: this is one of 2 processes that were launched together, .* use `deno task train:mpi`, .*\n$/,
    );
  }
  const { code, stderr } = await new Deno.Command("deno", {
    args: ["run", "--no-prompt", "--no-check", "--allow-read", "--allow-env=PMI_SIZE", "main.ts", "evaluate"],
    env: { PMI_SIZE: "2", NO_COLOR: "1" },
  }).output();
  assertEquals(code, 2);
  assertMatch(
    new TextDecoder().decode(stderr),
    /^error: this is one of 2 processes .*: use `deno task evaluate:cluster` with --jobs 2 and --launch, .*\n$/,
  );
  assertEquals(launchedProcesses(() => undefined), 1);
  assertEquals(launchedProcesses((name) => name === "PMI_SIZE" ? "8" : "1"), 8);
});

Deno.test("mpi: without any MPI library, the command that needs one says what to install", () => {
  const error = assertThrows(() => openLibrary(undefined, [".scratch/libnothing_mpi.so.1"]), UsageError);
  assertMatch(
    error.message,
    /^there is no MPI library here \(\.scratch\/libnothing_mpi\.so\.1\): install one with apt-get/,
  );
});

Deno.test("mpi: no other command loads a library, or anything of what starts ranks", async () => {
  const { stdout } = await new Deno.Command("deno", { args: ["info", "--json", "main.ts"] }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as { modules: readonly { specifier: string }[] };
  assert(modules.length > 100);
  assertEquals(modules.filter(({ specifier }) => specifier.includes("/cli/mpi/")), []);
});

Deno.test({
  name: "mpi: profile measures sums and steps of two ranks, and one of them writes it",
  ignore,
  fn: () =>
    withFolder(async (folder) => {
      const path = `${folder}/profile.json`, model = SMALL.slice(2, 8).concat("--segment", "8", "--mini-batch", "8");
      const args = [...model, "--model", "lmm", "--device", "reference", "--batch", "2", "--seq-len", "8"];
      const { code, stderr } = await runRanks(2, {
        command: "profile",
        args: [...args, "--repeats", "3", "--out", path],
      });
      assertEquals(code, 0, stderr);
      const found = readRankProfile(await Deno.readTextFile(path), path);
      assertEquals([found.ranks, found.ranksPerHost, found.shared.tokens, found.steps.length], [2, 2, 16, 6]);
      assert(
        found.latency > 0 && found.bandwidth > 0 && found.fixed + found.perToken > 0 && found.alone > 0 &&
          found.shared.seconds > 0,
        JSON.stringify(found),
      );
    }),
});

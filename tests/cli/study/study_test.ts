/** `study` as it is typed: killed and continued, what it shows, what it refuses. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { PERMISSIONS } from "../../../cli/child.ts";
import { exists } from "../../../cli/files.ts";
import { readResults } from "../../../cli/study/results.ts";
import { waitFor } from "../run_main.ts";
import { runCommandLine } from "../../../cli/run.ts";
import { studyCommand } from "../../../cli/study/study.ts";
import { FakeTerminal } from "../fake_terminal.ts";
import { withFolder } from "../scratch.ts";
import { withoutTiming } from "./kill_study.ts";

const TINY =
  "--task recall --task-option pairs=2 --task-option keys=4 --task-option values=4 --batch 2 --checkpoint-every 1";

function spawnStudy(...args: string[]): Deno.ChildProcess {
  const permissions = ["--no-prompt", "--allow-read", "--allow-write=.scratch", "--allow-run=deno"];
  return new Deno.Command("deno", {
    args: ["run", "--quiet", ...permissions, "--allow-env=NODEVICE_SELECT", "cli/study/main.ts", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function runStudyLine(...args: string[]): Promise<{ readonly code: number; readonly stderr: string }> {
  const terminal = new FakeTerminal();
  const code = await runCommandLine({ study: studyCommand }, ["study", ...args], terminal);
  return { code, stderr: terminal.stderr };
}

Deno.test("study: one that was killed at three moments goes on to the results of one that was not", () =>
  withFolder(async (folder) => {
    const plan = {
      name: "tiny",
      seeds: 3,
      experiments: [{
        name: "recall",
        steps: 6,
        train: TINY,
        models: { swa: "--model swa --blocks 1 --width 8 --heads 1" },
        evaluate: { "": "--samples 4 --batch 2" },
      }],
    };
    await Deno.writeTextFile(`${folder}/plan.json`, JSON.stringify(plan));
    const flags = ["--device", "cpu", "--no-drawings"],
      study = (out: string, ...more: string[]) =>
        spawnStudy("--plan", `${folder}/plan.json`, "--out", `${folder}/${out}`, ...flags, ...more);
    const figures = async (out: string) => {
      const results = await readResults(`${folder}/${out}/results.jsonl`);
      assert(results.every(({ timing }) => timing.trainSeconds > 0 && timing.evaluateSeconds > 0));
      return withoutTiming(results);
    };
    // A study that is killed while it measures the machine leaves that run.
    await Deno.mkdir(`${folder}/killed/probe/cells/recall_swa_0`, { recursive: true });
    await Deno.writeTextFile(`${folder}/killed/probe/cells/recall_swa_0/checkpoint.safetensors`, "");
    // Before the first result, and after one and two of them.
    for (const [results, said] of ["about", "[1/3]", "[2/3]"].entries()) {
      const killed = study("killed");
      await waitFor(killed, said);
      killed.kill("SIGKILL");
      await killed.status;
      assertEquals((await figures("killed")).length, results);
    }
    const again = await study("killed").output(), whole = await study("whole").output();
    const said = new TextDecoder().decode(again.stdout);
    assertEquals([again.code, whole.code], [0, 0], new TextDecoder().decode(again.stderr));
    assertMatch(said, /^\[3\/3\] recall\/swa\/2; accuracy 0\.\d+; \d+s; ETA 0s$/m);
    assertMatch(said, /^\| swa +\| [\d,]+ +\| as given \| 3 +\|/m);
    assert(!said.includes("measuring"), "it knows how long it takes");
    assertEquals(await figures("killed"), await figures("whole"));
    const left = async (out: string) => await Array.fromAsync(Deno.readDir(`${folder}/${out}/cells`)).catch(() => []);
    assertEquals((await left("killed")).length, 0);

    // A run that was killed is not gone on with where the study now has fewer steps.
    const [experiment] = plan.experiments, longer = { ...plan, experiments: [{ ...experiment, steps: 1e6 }] };
    await Deno.writeTextFile(`${folder}/longer.json`, JSON.stringify(longer));
    const killed = spawnStudy("--plan", `${folder}/longer.json`, "--out", `${folder}/other`, ...flags);
    await waitFor(killed, "about");
    const hasCheckpoint = async () => {
      const [{ name } = { name: "" }] = await left("other");
      return name !== "" && await exists(`${folder}/other/cells/${name}/checkpoint.safetensors`);
    };
    while (!await hasCheckpoint()) await new Promise((resolve) => setTimeout(resolve, 20));
    killed.kill("SIGKILL");
    await killed.status;
    const [line] = (await Deno.readTextFile(`${folder}/whole/results.jsonl`)).split("\n");
    await Deno.writeTextFile(`${folder}/other/results.jsonl`, `${line.replaceAll('"steps":6', '"steps":7')}\n`);
    const other = await study("other", "--seeds", "1").output();
    assertEquals(other.code, 0, new TextDecoder().decode(other.stderr));
    assertMatch(new TextDecoder().decode(other.stdout), /^1 of 1 results there are of other steps or flags/m);
    const fresh = (await figures("other")).filter(({ cell }) => cell.steps === 6);
    assertEquals(fresh, (await figures("whole")).filter(({ cell }) => cell.seed === 0));
    assertEquals((await left("other")).length, 0);
  }));

Deno.test("study: plans are written, and what cannot be is refused in one line", () =>
  withFolder(async (folder) => {
    const path = `${folder}/new/plan.json`, written = await runStudyLine("--quick", "--write-plan", path);
    assertEquals(written.code, 0);
    assertEquals(JSON.parse(await Deno.readTextFile(path)).name, "quick");
    await Deno.writeTextFile(`${folder}/no.json`, "{");
    const cases: [string[], RegExp][] = [
      [["--plan", `${folder}/none.json`], /--plan cannot be \S+none\.json: there is no such file/],
      [["--plan", `${folder}/no.json`], /--plan cannot be \S+no\.json: it is no JSON/],
      [["--plan", path, "--quick"], /--plan and --quick each name a plan: give one/],
      [["--only", "nothing"], /--only cannot be "nothing": the plan has /],
      [["--budget", "soon", "--out", `${folder}/x`], /--budget cannot be "soon": write 90m, 2h or 1h30m/],
    ];
    for (const [args, message] of cases) {
      const { code, stderr } = await runStudyLine(...args);
      assertEquals(code, 2, stderr);
      assertMatch(stderr, message);
    }
  }));

Deno.test("study: runs have the permissions of the task that trains", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile("deno.json"));
  const allowed = (tasks.train.command as string).split(" ").filter((word) => word.startsWith("--allow"));
  assertEquals([...PERMISSIONS].sort(), allowed.filter((word) => !word.startsWith("--allow-write")).sort());
});

/**
 * Runs the quick study once in one go, and once killed with SIGKILL at three moments: within the first run, directly
 * after a result, and within a later run. Both must come to the same results: `deno task soak:study --help`.
 */
import { assertEquals } from "@std/assert";
import { integer } from "../../../cli/flags.ts";
import { type CellResult, readResults } from "../../../cli/study/results.ts";
import { runTool } from "../../tool.ts";

/** When it is killed: so many seconds after so many results. */
const MOMENTS = [{ results: 0, seconds: 12 }, { results: 2, seconds: 0 }, { results: 4, seconds: 4 }];
const FOLDER = ".scratch/soak-study";

/** What a study came to, timing apart, in the order of its plan. */
export function withoutTiming(results: readonly CellResult[]): readonly Omit<CellResult, "timing">[] {
  const untimed = results.map(({ timing: _, ...result }) => result);
  return untimed.toSorted((a, b) => JSON.stringify(a.cell) < JSON.stringify(b.cell) ? -1 : 1);
}

function spawnStudy(folder: string, jobs: number): Deno.ChildProcess {
  const permissions = ["--no-prompt", "--allow-read", "--allow-write=.scratch", "--allow-run=deno"];
  const flags = ["--quick", "--no-drawings", "--jobs", `${jobs}`, "--out", folder];
  return new Deno.Command("deno", {
    args: ["run", "--quiet", ...permissions, "--allow-env=NODEVICE_SELECT,INIT_CWD", "cli/study/main.ts", ...flags],
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
}

const resultsOf = (folder: string): Promise<CellResult[]> => readResults(`${folder}/results.jsonl`);

/** Kills a study once it has so many results and some more seconds passed. @returns How many it has then. */
async function killAt(study: Deno.ChildProcess, folder: string, moment: typeof MOMENTS[number]): Promise<number> {
  while ((await resultsOf(folder)).length < moment.results) await wait(0.05);
  await wait(moment.seconds);
  study.kill("SIGKILL");
  await study.status;
  return (await resultsOf(folder)).length;
}

const wait = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

async function soak(jobs: number): Promise<void> {
  const killed = `${FOLDER}/killed`, whole = `${FOLDER}/whole`;
  await Deno.remove(FOLDER, { recursive: true }).catch(() => {});
  for (const moment of MOMENTS) {
    const results = await killAt(spawnStudy(killed, jobs), killed, moment);
    console.log(`killed ${moment.seconds} s after result ${moment.results}, with ${results} results`);
  }
  for (const folder of [killed, whole]) assertEquals((await spawnStudy(folder, jobs).status).code, 0);
  const [some, all] = [withoutTiming(await resultsOf(killed)), withoutTiming(await resultsOf(whole))];
  assertEquals(some, all);
  console.log(`${all.length} results, the same as those of a study that nobody killed`);
}

if (import.meta.main) {
  await runTool({
    task: "soak:study",
    about: `Runs the quick study once in one go and once killed at three moments, and fails if the results differ.
Some ten minutes on two cores.`,
    flags: { jobs: integer("runs of the study at a time", 2, { min: 1, max: 64 }) },
    run: ({ jobs }) => soak(jobs),
  });
}

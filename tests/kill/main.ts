/**
 * Kills training, also of forecasts and classes, remembering and downloading at random moments, and checks that nothing is lost or half-written and
 * that all come to the numbers of an uninterrupted job.
 *
 *     deno task kill --help
 *
 * A loss of power is a SIGKILL, after which files also lose what was not on the disk for certain: ends of files, and
 * the last moves. A full disk is a limit to the size of files that is set while a process runs (prlimit, on Linux): its
 * writes fail in the middle, as they do without room.
 */
import { integer, text, toggle, type Values } from "../../cli/flags.ts";
import { formatCount, formatDuration } from "../../cli/progress.ts";
import { runTool } from "../tool.ts";
import { campaign, type CampaignReport } from "./campaign.ts";
import { canFillDisks } from "./kill.ts";

const FLAGS = {
  kills: integer("how many processes to end", 1000, { min: 1 }),
  seed: integer("same seed, same choices; moments depend on the machine too", 1, { min: 0 }),
  jobs: integer("processes at a time", 2, { min: 1, max: 64 }),
  root: text("DIR", "a folder below .scratch for the jobs; one in memory, mounted there, is faster", ".scratch"),
  json: toggle("print one JSON object at the end"),
} as const;

const SHOW_MS = 5000;

function describe({ kills, byKind, byPhase, equal, processes, failures, seconds }: CampaignReport): string {
  const table = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts).sort(([, a], [, b]) => b - a).map(([name, count]) => `${name} ${formatCount(count)}`).join(
      ", ",
    );
  return [
    `${formatCount(kills)} kills in ${formatDuration(seconds)}, ${formatCount(processes)} processes`,
    `by kind: ${table(byKind)}`,
    `while: ${table(byPhase)}`,
    `jobs that came to the same numbers, bit for bit: ${formatCount(equal)}`,
    `lost, half-written or different: ${failures.length}`,
    ...failures.map((failure) => `  ${failure}`),
  ].join("\n");
}

async function kill({ kills, seed, jobs, root: dir, json }: Values<typeof FLAGS>): Promise<number> {
  await Deno.mkdir(dir, { recursive: true });
  const root = await Deno.makeTempDir({ dir, prefix: "kill-" });
  if (!await canFillDisks()) {
    console.error("without a full disk: prlimit, which limits the size of files, is not here");
  }
  const began = performance.now();
  let shown = began;
  const progress = (done: number): void => {
    const now = performance.now();
    if (now - shown < SHOW_MS) return;
    shown = now;
    console.error(`${done}/${kills} kills  ETA ${formatDuration((now - began) / 1000 / done * (kills - done))}`);
  };
  const report = await campaign({ root, kills, seed, jobs, progress });
  console.log(json ? JSON.stringify(report) : describe(report));
  if (report.failures.length === 0) await Deno.remove(root, { recursive: true });
  else console.error(`the folders are kept in ${root}`);
  return report.failures.length === 0 ? 0 : 1;
}

if (import.meta.main) {
  await runTool({
    task: "kill",
    about:
      `Kills train, forecast, classify, remember and fetch at random moments and lets them go on, and fails if something is
lost, half-written, or not what comes of a job that nobody killed.`,
    flags: FLAGS,
    run: kill,
  });
}

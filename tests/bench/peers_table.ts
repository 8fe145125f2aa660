/** The comparison as tables. */
import { OWN, processorOf } from "./own_contestant.ts";
import type { Entry, JobComparison, PeersReport } from "./peers.ts";
import { digits, formatTable, megabytes } from "./table.ts";

const HEADER = [
  "",
  "first ms",
  "min ms",
  "median",
  "90%",
  "runs",
  "CPU ms",
  "GFLOP/s",
  "of peak",
  "RSS MB",
  "device MB",
  "x ours",
  "x ours, CPU",
  "remark",
];

/** A table per device and job, then the summary of ratios per device. */
export function peersTables({ contestants, missing, jobs }: PeersReport): string {
  const devices = [...new Set(jobs.map(({ device }) => device))];
  return devices.map((device) => {
    const own = jobs.filter((job) => job.device === device);
    const names = contestants.filter((contestant) => contestant.device === processorOf(device)).map(({ description }) =>
      `  ${description}\n`
    ).join("");
    return `jobs on ${device}\n${names}\n${own.map(jobTable).join("\n")}\n${summaryTable(own)}`;
  }).join("\n") + missing.map((line) => `${line}\n`).join("");
}

function jobTable({ job, entries, ratios, flops, peakGflops }: JobComparison): string {
  const rows = entries.map((entry) => [
    `  ${entry.library}`,
    ...[entry.firstMs, entry.minMs, entry.medianMs, entry.p90Ms].map(digits),
    entry.runs === undefined ? "" : String(entry.runs),
    digits(entry.cpuMs),
    ...rateCells(flops, entry.minMs, peakGflops),
    megabytes(entry.rssBytes),
    megabytes(entry.deviceBytes),
    entry.library === OWN ? "" : digits(ratios[entry.library]),
    entry.library === OWN ? "" : digits(cpuRatio(entry, entries)),
    remark(entry),
  ]);
  if (peakGflops !== undefined) {
    const blank = HEADER.map(() => "");
    rows.push(["  multiply-adds in C", ...blank.slice(1, 7), digits(peakGflops), "100%", ...blank.slice(9)]);
  }
  return formatTable([job, ...HEADER.slice(1)], rows, [HEADER.length - 1]);
}

/** The computing time of a library over ours. */
function cpuRatio({ cpuMs }: Entry, entries: readonly Entry[]): number | undefined {
  const own = entries.find(({ library }) => library === OWN)?.cpuMs;
  return cpuMs === undefined || !own ? undefined : cpuMs / own;
}

/** Speed, and its share of the arithmetic peak, where the work is known. */
function rateCells(flops?: number, ms?: number, peakGflops?: number): string[] {
  if (flops === undefined || ms === undefined) return ["", ""];
  const gflops = flops / ms / 1e6;
  return [digits(gflops), peakGflops === undefined ? "" : `${(100 * gflops / peakGflops).toFixed(0)}%`];
}

function remark({ error, note }: Entry): string {
  return error === undefined ? note ?? "" : `failed: ${error}`;
}

/**
 * How many times as fast this library is as each peer, as the best one, as the best one in JavaScript, and as such a
 * one at the first run.
 */
function summaryTable(jobs: readonly JobComparison[]): string {
  const peers = [...new Set(jobs.flatMap(({ entries }) => entries.map(({ library }) => library)))].filter((library) =>
    library !== OWN
  );
  const rows = jobs.map(({ job, ratio, ratios, scriptRatio, scriptFirstRatio }) => [
    job,
    ...peers.map((library) => digits(ratios[library])),
    ...[ratio, scriptRatio, scriptFirstRatio].map(digits),
  ]);
  return formatTable(["ours, times as fast as", ...peers, "the best", "the best in JavaScript", "its first run"], rows);
}

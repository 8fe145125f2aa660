/** Where the time of a job goes: its dearest kernels. */
import type { Device, DeviceInfo } from "@mneme/titans";
import { UsageError } from "../../cli/errors.ts";
import type { KernelReport, WorkTotals } from "../../kernels/mod.ts";
import type { Case } from "./cases/case.ts";
import { type Options, timedDevices } from "./flags.ts";
import { openDevice } from "./open_device.ts";
import { CASES } from "./own.ts";
import { Progress } from "./progress.ts";
import { digits, formatTable } from "./table.ts";

/** Kernels that are shown. */
const DEAREST = 10;

/** What is explained where no job is named. */
const DEFAULTS: readonly RegExp[] = [/^chunk layer, chunk 64/, /^training step, MAC/];

/** A kernel of a job. */
export interface KernelFigures extends KernelReport {
  /** Its place in the schedule. */
  readonly step: number;
  /** Of the time of all kernels. */
  readonly share: number;
  readonly gflops: number;
  readonly gbPerSecond: number;
}

/** A job on a device. */
export interface JobFigures {
  readonly job: string;
  readonly device: DeviceInfo;
  readonly totals: WorkTotals;
  /** In order of time, the longest first. */
  readonly dearest: readonly KernelFigures[];
}

/** What the mode gives. */
export interface ExplainReport {
  readonly jobs: readonly JobFigures[];
}

/** Profiles jobs. @throws {UsageError} if no job has the name. */
export async function runExplain({ job, devices }: Options, write: (line: string) => void): Promise<ExplainReport> {
  // Decoding is several programs.
  const known = CASES.filter(({ group }) => group !== "decoding");
  const chosen = known.filter(({ name }) =>
    job ? name.toLowerCase().includes(job) : DEFAULTS.some((pattern) => pattern.test(name))
  );
  if (chosen.length === 0) {
    throw new UsageError(
      `no job has ${JSON.stringify(job)} in its name: there are ${known.map(({ name }) => name).join("; ")}`,
    );
  }
  const kinds = await timedDevices(devices), progress = new Progress(kinds.length * chosen.length, write);
  const jobs: JobFigures[] = [];
  for (const kind of kinds) {
    const device = await openDevice({ kind });
    try {
      for (const entry of chosen) {
        progress.next(`${kind}: ${entry.name}`);
        jobs.push(await explainJob(entry, device));
      }
    } finally {
      device.dispose();
    }
  }
  return { jobs };
}

async function explainJob(entry: Case, device: Device): Promise<JobFigures> {
  const loaded = await entry.load(device);
  const { kernels, totals } = await loaded.explain!(true);
  loaded.dispose();
  const dearest = kernels.map((kernel, step): KernelFigures => {
    const { flops, bytes, timeNs = 0 } = kernel;
    return { ...kernel, step, share: timeNs / totals.timeNs!, gflops: flops / timeNs, gbPerSecond: bytes / timeNs };
  }).sort((a, b) => b.timeNs! - a.timeNs!).slice(0, DEAREST);
  return { job: entry.name, device: device.info, totals, dearest };
}

const HEADER = ["ops", "step", "kind", "launches", "ms", "share", "GFLOP/s", "GB/s"];

/** A table a job. */
export function explainTables({ jobs }: ExplainReport): string {
  return jobs.map(({ job, device, totals, dearest }) => {
    const rows = dearest.map(({ origins, step, kind, launches, timeNs, share, gflops, gbPerSecond }) => [
      opsLine(origins),
      String(step),
      kind,
      String(launches),
      digits(timeNs! / 1e6),
      `${(100 * share).toFixed(1)}%`,
      digits(gflops),
      digits(gbPerSecond),
    ]);
    const { kernels, launches, timeNs = 0, flops, bytes } = totals;
    const sum = `all ${kernels} kernels, ${launches} launches: ${digits(timeNs / 1e6)} ms one by one, ${
      digits(flops / timeNs)
    } GFLOP/s, ${digits(bytes / timeNs)} GB/s`;
    return `${job} on ${device.kind} (${device.description})\n${formatTable(HEADER, rows, [2])}${sum}\n`;
  }).join("\n");
}

const OPS_WIDTH = 64;

/** `mul, add, mul` -> `mul x2, add`, cut to a width. */
export function opsLine(origins: readonly string[], width = OPS_WIDTH): string {
  const counts = new Map<string, number>();
  for (const name of origins) counts.set(name, (counts.get(name) ?? 0) + 1);
  const line = [...counts].map(([name, count]) => (count > 1 ? `${name} x${count}` : name)).join(", ");
  return line.length <= width ? line : `${line.slice(0, width - 3)}...`;
}

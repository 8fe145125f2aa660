/** The library by itself: every case checked, then timed in turns with its yardsticks. */
import { type Device, type DeviceInfo, requestDevice } from "@mneme/titans";
import { CommandError } from "../../cli/errors.ts";
import type { Case, Group } from "./cases/case.ts";
import { KERNELS } from "./cases/kernels.ts";
import { MODELS } from "./cases/models.ts";
import type { Loaded } from "./computation.ts";
import { type Options, type TimedDevice, timedDevices } from "./flags.ts";
import { type Effort, inTurns } from "./measure.ts";
import { openDevice } from "./open_device.ts";
import { Progress } from "./progress.ts";
import { relativeError, type Timing } from "./statistics.ts";
import { digits, formatTable, megabytes } from "./table.ts";
import type { Yardstick } from "./yardsticks/yardstick.ts";

/** All cases, in the order of the tables. */
export const CASES: readonly Case[] = [...KERNELS, ...MODELS];

/** How a case fares on a device. Rates are those of the fastest run. */
export interface Row extends Timing {
  readonly name: string;
  readonly group: Group;
  readonly device: TimedDevice;
  /** The largest error of its results, relative to the largest magnitude, and what is allowed. */
  readonly error: number;
  readonly tolerance: number;
  readonly compileMs: number;
  readonly uploadMs?: number;
  /** The first run, with what drivers compile then, results copied to the host. */
  readonly firstMs: number;
  readonly flops?: number;
  readonly bytes?: number;
  readonly gflops?: number;
  readonly gbPerSecond?: number;
  readonly tokensPerSecond?: number;
  readonly plannedBytes?: number;
  readonly shaders?: number;
  /** Speed in units of the best yardstick's. */
  readonly share?: number;
  readonly yardsticks:
    readonly (Timing & { readonly name: string; readonly gflops?: number; readonly gbPerSecond?: number })[];
}

/** What the default mode gives. */
export interface OwnReport {
  readonly devices: readonly DeviceInfo[];
  readonly rows: readonly Row[];
  /** What stopped the run: the first result that is wrong, or a case that cannot be run. */
  readonly failure?: string;
}

/** Runs the cases up to the first one that fails. */
export async function runOwn(options: Options, effort: Effort, write: (line: string) => void): Promise<OwnReport> {
  const chosen = CASES.filter(({ name, group }) =>
    !options.filter || `${group}: ${name}`.toLowerCase().includes(options.filter)
  );
  if (chosen.length === 0) {
    throw new CommandError(
      `no benchmark has ${JSON.stringify(options.filter)} in its name: run without --filter to see them`,
    );
  }
  const kinds = await timedDevices(options.devices), progress = new Progress(kinds.length * chosen.length, write);
  const expected = new Map<Case, number[][]>(), devices: DeviceInfo[] = [], rows: Row[] = [];
  for (const kind of kinds) {
    const device = await openDevice({ kind });
    try {
      devices.push(device.info);
      for (const entry of chosen) {
        progress.next(`${kind}: ${entry.name}`);
        if (!expected.has(entry)) expected.set(entry, await referenceResults(entry));
        rows.push(await timeCase(entry, device, { expected: expected.get(entry)!, effort }));
      }
    } catch (error) {
      // What was measured before is worth keeping.
      return { devices, rows, failure: error instanceof Error ? error.message : String(error) };
    } finally {
      device.dispose();
    }
  }
  return { devices, rows };
}

/** The results of the f64 reference device, read by read, all of a read in a row. */
async function referenceResults(entry: Case): Promise<number[][]> {
  const device = await requestDevice({ kind: "reference" });
  const loaded = await entry.load(device);
  const results: number[][] = [];
  for (let i = 0; i < entry.reads; i++) for (const array of await loaded.read()) results.push(Array.from(array));
  loaded.dispose();
  device.dispose();
  return results;
}

async function timeCase(
  entry: Case,
  device: Device,
  { expected, effort }: { expected: number[][]; effort: Effort },
): Promise<Row> {
  const loaded = await entry.load(device);
  const yardsticks = await entry.yardsticks(device);
  try {
    const { error, firstMs } = await check(entry, loaded, expected);
    for (const yardstick of yardsticks) {
      if (yardstick.read) {
        requireClose(
          `${yardstick.name}, the yardstick of ${entry.name}`,
          relativeError(await yardstick.read(), expected[0]),
          entry.tolerance,
        );
      }
    }
    const [own, ...others] = await inTurns([loaded, ...yardsticks], effort);
    return await report(entry, {
      loaded,
      kind: device.info.kind as TimedDevice,
      error,
      firstMs,
      own,
      others,
      yardsticks,
    });
  } finally {
    loaded.dispose();
    for (const yardstick of yardsticks) yardstick.dispose();
  }
}

/** The gate: nothing is timed that computes something else. */
async function check(
  { name, reads, tolerance }: Case,
  loaded: Loaded,
  expected: number[][],
): Promise<{ error: number; firstMs: number }> {
  const results: ArrayLike<number>[] = [];
  let firstMs = 0;
  for (let i = 0; i < reads; i++) {
    const start = performance.now();
    results.push(...await loaded.read());
    if (i === 0) firstMs = performance.now() - start;
  }
  const error = results.reduce((worst, result, i) => Math.max(worst, relativeError(result, expected[i])), 0);
  requireClose(name, error, tolerance);
  return { error, firstMs };
}

function requireClose(name: string, error: number, tolerance: number): void {
  if (error <= tolerance) return;
  throw new CommandError(
    `${name} is wrong: it differs from the reference by ${
      error.toExponential(1)
    } of the largest magnitude, allowed are ${tolerance}`,
  );
}

interface Measured {
  readonly loaded: Loaded;
  readonly kind: TimedDevice;
  readonly error: number;
  readonly firstMs: number;
  readonly own: Timing;
  readonly others: readonly Timing[];
  readonly yardsticks: readonly Yardstick[];
}

async function report(entry: Case, { loaded, kind, error, firstMs, own, others, yardsticks }: Measured): Promise<Row> {
  const totals = (await loaded.explain?.(false))?.totals;
  const flops = entry.flops ?? (totals?.flops || undefined), bytes = entry.bytes ?? totals?.bytes;
  const rate = (amount: number | undefined, ms: number): number | undefined => amount && amount / ms / 1e6;
  const shares = yardsticks.map((yardstick, i) => {
    const amount = yardstick.flops ? flops : bytes, unit = yardstick.flops ?? yardstick.bytes;
    return amount && unit ? (amount / own.minMs) / (unit / others[i].minMs) : Infinity;
  });
  const share = Math.min(Infinity, ...shares);
  return {
    name: entry.name,
    group: entry.group,
    device: kind,
    error,
    tolerance: entry.tolerance,
    compileMs: loaded.compileMs,
    uploadMs: loaded.uploadMs,
    firstMs,
    ...own,
    flops,
    bytes,
    gflops: rate(flops, own.minMs),
    gbPerSecond: rate(bytes, own.minMs),
    tokensPerSecond: entry.tokens && entry.tokens / own.minMs * 1e3,
    plannedBytes: loaded.plannedBytes,
    shaders: loaded.shaders,
    share: share < Infinity ? share : undefined,
    yardsticks: yardsticks.map(({ name, flops, bytes }, i) => ({
      name,
      ...others[i],
      gflops: rate(flops, others[i].minMs),
      gbPerSecond: rate(bytes, others[i].minMs),
    })),
  };
}

const HEADER = [
  "",
  "compile ms",
  "upload",
  "first",
  "min ms",
  "median",
  "p90",
  "GFLOP/s",
  "GB/s",
  "tokens/s",
  "planned MB",
  "share",
  "of",
];

/** The figures as tables, one a device and group. */
export function ownTables({ devices, rows }: OwnReport): string {
  const tables: string[] = [];
  for (const { kind, description } of devices) {
    for (const group of new Set(rows.filter(({ device }) => device === kind).map(({ group }) => group))) {
      const cells = rows.filter((row) => row.device === kind && row.group === group).map((row) => [
        row.name,
        ...[
          row.compileMs,
          row.uploadMs,
          row.firstMs,
          row.minMs,
          row.medianMs,
          row.p90Ms,
          row.gflops,
          row.gbPerSecond,
          row.tokensPerSecond,
        ].map(digits),
        megabytes(row.plannedBytes),
        row.share === undefined ? "" : row.share.toFixed(2),
        bestYardstick(row),
      ]);
      tables.push(`${group} on ${kind} (${description})\n${formatTable(HEADER, cells, [HEADER.length - 1])}`);
    }
  }
  return tables.join("\n");
}

function bestYardstick({ yardsticks }: Row): string {
  const speed = ({ gflops, gbPerSecond }: Row["yardsticks"][number]): number => gflops ?? gbPerSecond ?? 0;
  return yardsticks.toSorted((a, b) => speed(b) - speed(a))[0]?.name ?? "";
}

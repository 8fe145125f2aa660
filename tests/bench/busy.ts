/**
 * What other work on the machine costs: the same cases on one thread and on all, beside busy loops. Threads that wait
 * for each other are slower there than one alone, and are not to be.
 */
import { CommandError } from "../../cli/errors.ts";
import type { Loaded } from "./computation.ts";
import { type Options, type TimedDevice, timedDevices } from "./flags.ts";
import { type Effort, inTurns } from "./measure.ts";
import { openDevice } from "./open_device.ts";
import { CASES } from "./own.ts";
import { Progress } from "./progress.ts";
import type { Timing } from "./statistics.ts";
import { digits, formatTable } from "./table.ts";

/** A case beside a number of busy loops. */
export interface BusyRow {
  readonly name: string;
  readonly device: TimedDevice;
  readonly loops: number;
  readonly threads: number;
  readonly one: Timing;
  readonly all: Timing;
  /** Median time on one thread in units of that on all; below 1 all threads are slower than one. */
  readonly speedup: number;
}

/** What the mode gives. */
export interface BusyReport {
  readonly rows: readonly BusyRow[];
}

/** What is timed unless a filter says otherwise. */
const DEFAULT_FILTER = "training step, lmm";
/** What the threads of the other contestant get to fall asleep before a turn. */
const PAUSE_MS = 20;

/** Times the cases beside each number of loops. */
export async function runBusy(
  options: Options,
  effort: Effort,
  write: (line: string) => void,
): Promise<BusyReport> {
  const filter = options.filter ?? DEFAULT_FILTER;
  const chosen = CASES.filter(({ name, group }) => `${group}: ${name}`.toLowerCase().includes(filter));
  if (chosen.length === 0) {
    throw new CommandError(`no benchmark has ${JSON.stringify(filter)} in its name: run without --filter to see one`);
  }
  const kinds = (await timedDevices(options.devices)).filter((kind) => kind !== "webgpu");
  if (kinds.length === 0) {
    throw new CommandError("--busy times threads, and the device webgpu has none: use cpu or native");
  }
  const progress = new Progress(kinds.length * chosen.length * options.busy.length, write), rows: BusyRow[] = [];
  for (const kind of kinds) {
    using single = await openDevice({ kind, threads: 1 });
    using parallel = await openDevice({ kind });
    const threads = navigator.hardwareConcurrency;
    for (const entry of chosen) {
      const contestants = [await entry.load(single), await entry.load(parallel)];
      for (const contestant of contestants) await contestant.read();
      for (const loops of options.busy) {
        progress.next(`${kind}: ${entry.name}, ${loops} busy loops`);
        const [one, all] = await beside(loops, contestants, effort);
        rows.push({ name: entry.name, device: kind, loops, threads, one, all, speedup: one.medianMs / all.medianMs });
      }
      for (const contestant of contestants) contestant.dispose();
    }
  }
  return { rows };
}

/** Times contestants while processes loop. */
async function beside(loops: number, contestants: readonly Loaded[], effort: Effort): Promise<Timing[]> {
  const command = new Deno.Command("deno", {
    args: ["eval", "for (;;);"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
  const processes = Array.from({ length: loops }, () => command.spawn());
  try {
    return await inTurns(
      contestants.map((contestant) => ({
        time: async (count: number): Promise<number> => {
          await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
          return await contestant.time(count);
        },
      })),
      effort,
    );
  } finally {
    for (const process of processes) {
      process.kill("SIGKILL");
      await process.status;
    }
  }
}

/** The figures as tables, one a device. */
export function busyTables({ rows }: BusyReport): string {
  return [...new Set(rows.map(({ device }) => device))].map((device) => {
    const own = rows.filter((row) => row.device === device), { threads } = own[0];
    const cells = own.map(({ name, loops, one, all, speedup }) => [
      name,
      String(loops),
      ...[one.minMs, one.medianMs, all.minMs, all.medianMs].map(digits),
      speedup.toFixed(2),
    ]);
    const header = ["", "busy loops", "1 thread, min ms", "median", `${threads} threads, min ms`, "median", "speedup"];
    return `beside busy loops on ${device}: speedups are of medians\n${formatTable(header, cells)}`;
  }).join("\n");
}

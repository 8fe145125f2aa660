/**
 * The library of this checkout against that of another, such as a worktree of an earlier commit: the same cases, each
 * in two processes that run in turns, so that whatever else the machine does hits both alike. A process keeps for its
 * life what it got at its start, such as where its memory lies: two of the same checkout can differ by a tenth. So
 * each case is timed in several pairs of processes, and each checkout starts first in half of them.
 */
import { CommandError } from "../../cli/errors.ts";
import { type Options, type TimedDevice, timedDevices } from "./flags.ts";
import { type Effort, type Timed, timesInTurns } from "./measure.ts";
import { CASES } from "./own.ts";
import { linesOf } from "./peers/protocol.ts";
import { Progress } from "./progress.ts";
import { quantile, summarize, type Timing } from "./statistics.ts";
import { digits, formatTable } from "./table.ts";

/** A case in both checkouts. Ratios above 1 mean that this checkout is slower. */
export interface AgainstRow {
  readonly name: string;
  readonly device: TimedDevice;
  readonly own?: Timing;
  readonly other?: Timing;
  readonly compileRatio?: number;
  readonly minRatio?: number;
  readonly medianRatio?: number;
  /** Why there are no figures: a case that only one of the checkouts has, or that fails there. */
  readonly error?: string;
}

/** What the mode gives. */
export interface AgainstReport {
  readonly folder: string;
  readonly rows: readonly AgainstRow[];
}

/** Where this checkout is. */
const HERE = decodeURIComponent(new URL("../..", import.meta.url).pathname).replace(/\/$/, "");
/** What the other process's threads get to fall asleep before a turn. */
const PAUSE_MS = 20;
/** Pairs of processes that time a case. */
const PAIRS = 4;

/** Times the cases in both checkouts. @throws {CommandError} if the folder is no checkout. */
export async function runAgainst(
  options: Options,
  effort: Effort,
  write: (line: string) => void,
): Promise<AgainstReport> {
  const folder = checkoutAt(options.against!);
  const chosen = CASES.filter(({ name, group }) =>
    !options.filter || `${group}: ${name}`.toLowerCase().includes(options.filter)
  );
  if (chosen.length === 0) {
    throw new CommandError(
      `no benchmark has ${JSON.stringify(options.filter)} in its name: run without --filter to see them`,
    );
  }
  const kinds = await timedDevices(options.devices), progress = new Progress(kinds.length * chosen.length, write);
  const rows: AgainstRow[] = [];
  for (const device of kinds) {
    for (const { name } of chosen) {
      progress.next(`${device}: ${name}`);
      rows.push(await compare(folder, { name, device, effort }));
    }
  }
  return { folder, rows };
}

function checkoutAt(path: string): string {
  try {
    const folder = Deno.realPathSync(path);
    Deno.statSync(`${folder}/tests/bench/own.ts`);
    return folder;
  } catch {
    throw new CommandError(
      `--against ${path} is no checkout of this project: it has no tests/bench/own.ts; git worktree add FOLDER COMMIT makes one`,
    );
  }
}

/** A case to time. */
interface Case {
  readonly name: string;
  readonly device: TimedDevice;
  readonly effort: Effort;
}

async function compare(folder: string, { name, device, effort }: Case): Promise<AgainstRow> {
  const own: number[] = [], other: number[] = [], compileRatios: number[] = [];
  const pairs = Math.min(PAIRS, effort.rounds), share = (count: number) => Math.ceil(count / pairs);
  const each = {
    ...effort,
    rounds: share(effort.rounds),
    leastRounds: share(effort.leastRounds),
    budgetMs: effort.budgetMs / pairs,
  };
  try {
    for (let pair = 0; pair < pairs; pair++) {
      const places = pair % 2 === 0 ? [HERE, folder] : [folder, HERE];
      const timed = await timePair(places, { name, device, effort: each });
      const [here, there] = pair % 2 === 0 ? timed : timed.toReversed();
      own.push(...here.times);
      other.push(...there.times);
      compileRatios.push(here.compileMs / there.compileMs);
    }
  } catch (error) {
    return { name, device, error: error instanceof Error ? error.message : String(error) };
  }
  const timing = summarize(own), otherTiming = summarize(other);
  return {
    name,
    device,
    own: timing,
    other: otherTiming,
    compileRatio: quantile(compileRatios, 0.5),
    minRatio: timing.minMs / otherTiming.minMs,
    medianRatio: timing.medianMs / otherTiming.medianMs,
  };
}

/** Times a case in a process of each of two checkouts. */
async function timePair(
  places: readonly string[],
  { name, device, effort }: Case,
): Promise<{ readonly times: readonly number[]; readonly compileMs: number }[]> {
  const processes: Checkout[] = [];
  try {
    for (const place of places) processes.push(await Checkout.start(place, device, name));
    const times = await timesInTurns(processes, effort);
    return processes.map(({ compileMs }, i) => ({ times: times[i], compileMs }));
  } finally {
    for (const process of processes) await process.close();
  }
}

/** A case of a checkout in a process. */
class Checkout implements Timed {
  private constructor(
    readonly folder: string,
    readonly process: Deno.ChildProcess,
    readonly stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>,
    readonly stdout: AsyncGenerator<string, void>,
    readonly compileMs: number,
  ) {}

  static async start(folder: string, device: TimedDevice, name: string): Promise<Checkout> {
    const child = decodeURIComponent(new URL("against_child.ts", import.meta.url).pathname);
    const args = [
      "run",
      "--quiet",
      "--no-prompt",
      "--no-check",
      "--config",
      `${folder}/deno.json`,
      "--allow-all",
      child,
      folder,
      device,
      name,
    ];
    const process = new Deno.Command("deno", {
      args,
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const stdout = linesOf(process.stdout);
    const { compileMs } = await answerOf<{ compileMs: number }>(stdout, folder);
    return new Checkout(folder, process, process.stdin.getWriter(), stdout, compileMs);
  }

  async time(count: number): Promise<number> {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    await this.stdin.write(new TextEncoder().encode(`${count}\n`));
    return (await answerOf<{ ms: number }>(this.stdout, this.folder)).ms;
  }

  async close(): Promise<void> {
    await this.stdin.close().catch(() => {});
    while (!(await this.stdout.next()).done);
    await this.process.status;
  }
}

/** The next answer of a process. Libraries may print other lines. */
async function answerOf<A>(lines: AsyncGenerator<string, void>, folder: string): Promise<A> {
  for (;;) {
    const { value, done } = await lines.next();
    if (done) throw new Error(`the process of ${folder} ended without an answer`);
    if (!value.startsWith("{")) continue;
    const answer = JSON.parse(value) as A | { readonly error: string };
    if (typeof answer === "object" && answer !== null && "error" in answer) {
      throw new Error(`${folder}: ${answer.error}`);
    }
    return answer as A;
  }
}

/** The figures as tables, one a device; the slowest rows against the other checkout first. */
export function againstTables({ folder, rows }: AgainstReport): string {
  const ratio = (value: number | undefined): string => value?.toFixed(3) ?? "";
  return [...new Set(rows.map(({ device }) => device))].map((device) => {
    const own = rows.filter((row) => row.device === device).toSorted((a, b) =>
      (b.medianRatio ?? Infinity) - (a.medianRatio ?? Infinity)
    );
    const cells = own.map(({ name, own, other, minRatio, medianRatio, compileRatio, error }) => [
      name,
      ...[own?.minMs, other?.minMs, own?.medianMs, other?.medianMs].map(digits),
      ...[minRatio, medianRatio, compileRatio].map(ratio),
      error ?? "",
    ]);
    const header = ["", "min ms", "there", "median ms", "there", "min ratio", "median ratio", "compile ratio", ""];
    return `this checkout against ${folder} on ${device}: ratios above 1 are slower here\n${
      formatTable(header, cells, [header.length - 1])
    }`;
  }).join("\n");
}

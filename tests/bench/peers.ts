/** The same jobs on several libraries, in turns. */
import { CommandError } from "../../cli/errors.ts";
import { requestDevice } from "../../kernels/mod.ts";
import { load, lossOf } from "./computation.ts";
import type { Contestant, JobName, Prepared, Processor, RunTime } from "./contestant.ts";
import { type Options, type TimedDevice, timedDevices } from "./flags.ts";
import { JOBS } from "./jobs.ts";
import type { Effort } from "./measure.ts";
import { isOwn, openOwn, OWN, processorOf } from "./own_contestant.ts";
import { ownJob } from "./own_jobs.ts";
import { peerContestants, type PeerOptions } from "./peers/mod.ts";
import { Progress } from "./progress.ts";
import { summarize, type Timing } from "./statistics.ts";
import { openPeak, type Peak } from "./yardsticks/fma.ts";

/** How far a contestant's number may be from the f64 reference's: 1 in 1000. */
const TOLERANCE = 1e-3;

/** How a contestant fares at a job: figures, or why there are none. */
export interface Entry extends Partial<Timing> {
  readonly library: string;
  readonly description: string;
  readonly firstMs?: number;
  /** The least time that its process computed for a run, all threads together. */
  readonly cpuMs?: number;
  readonly check?: number;
  readonly note?: string;
  readonly rssBytes?: number;
  readonly deviceBytes?: number;
  readonly error?: string;
}

/** A job on the CPU or the GPU. Ratios above 1 mean that this library is faster. */
export interface JobComparison {
  readonly job: JobName;
  /** The device that the ratios are of. */
  readonly device: TimedDevice;
  /** The number that all must reach, from the reference device. */
  readonly expected: number;
  /** Floating-point operations of a run, where counting says something. */
  readonly flops?: number;
  /** The most multiply-adds per nanosecond that a loop in C reached between the runs, as GFLOP/s; on the CPU only. */
  readonly peakGflops?: number;
  /** In the order of turns, this library first. */
  readonly entries: readonly Entry[];
  /** The fastest peer's minimum over ours; undefined if no peer did the job. */
  readonly ratio?: number;
  readonly bestPeer?: string;
  /** The same for each peer. */
  readonly ratios: Readonly<Record<string, number>>;
  /** The same for the fastest peer that is written for JavaScript. */
  readonly scriptRatio?: number;
  /** The fastest first run of such a peer over ours. */
  readonly scriptFirstRatio?: number;
}

/** What the mode gives. */
export interface PeersReport {
  readonly contestants: readonly {
    readonly library: string;
    readonly device: Processor;
    readonly description: string;
  }[];
  /** Contestants that could not take part, and why. */
  readonly missing: readonly string[];
  readonly jobs: readonly JobComparison[];
}

/** Peers in native code, which a JavaScript user cannot pick; they show how far the machine goes. */
const NATIVE: ReadonlySet<string> = new Set(["torch", "torch.compile", "titans-pytorch"]);

/** What others' threads get to fall asleep before a turn: most wait by spinning for a while, OpenMP's for some 10 ms. */
const PAUSE_MS = 50;

/** Runs the comparison. @throws {CommandError} if this library's own result is wrong. */
export async function runPeers(options: Options, effort: Effort, write: (line: string) => void): Promise<PeersReport> {
  const chosen = JOBS.map(({ name }) => name).filter((name) =>
    !options.filter || name.toLowerCase().includes(options.filter)
  );
  if (chosen.length === 0) {
    throw new CommandError(
      `no job has ${JSON.stringify(options.filter)} in its name: there are ${JOBS.map(({ name }) => name).join("; ")}`,
    );
  }
  const kinds = await timedDevices(options.devices), missing: string[] = [];
  const contestants: Contestant[] = [];
  const counted = JOBS.some(({ name, flops }) => flops !== undefined && chosen.includes(name));
  let peak: Peak | undefined;
  if (counted && kinds.some((kind) => processorOf(kind) === "cpu")) {
    peak = await openPeak(`${options.json.replace(/\.json$/, "")}.fma`, options.threads);
    if (!peak) missing.push("left out: the arithmetic peak of the CPU, because no C compiler was found");
  }
  try {
    // On each processor, the first device is the one that is compared.
    const firsts = new Map<Processor, TimedDevice>();
    for (const kind of kinds) {
      const processor = processorOf(kind), isFirst = !firsts.has(processor);
      try {
        contestants.push(await openOwn(kind, isFirst ? OWN : `${OWN}, ${kind}`, options.threads));
        if (isFirst) firsts.set(processor, kind);
      } catch (error) {
        // What was not asked for by name need not be there.
        if (kinds.length === 1) throw error;
        missing.push(`left out: ${(error as Error).message}`);
      }
    }
    const { libraries, threads } = options;
    contestants.push(...await openPeers({ devices: [...firsts.keys()], libraries, threads }, missing));
    for (const line of missing) write(`${line}\n`);
    const progress = new Progress(firsts.size * chosen.length, write), jobs: JobComparison[] = [];
    for (const job of chosen) {
      const expected = await referenceCheck(job);
      for (const [processor, device] of firsts) {
        progress.next(`${device}: ${job}`);
        const able = contestants.filter((contestant) => contestant.device === processor && contestant.knows(job));
        jobs.push(await compare(able, { job, device, expected, effort, peak: processor === "cpu" ? peak : undefined }));
      }
    }
    return {
      contestants: contestants.map(({ library, device, description }) => ({ library, device, description })),
      missing,
      jobs,
    };
  } finally {
    for (const contestant of contestants) await contestant.close();
  }
}

async function openPeers(
  { devices, libraries, threads }: PeerOptions,
  missing: string[],
): Promise<readonly Contestant[]> {
  try {
    return await peerContestants({ devices, libraries, threads, write: (line) => missing.push(line) });
  } catch (error) {
    missing.push(`no peers: ${error instanceof Error ? error.message.split("\n")[0] : error}`);
    return [];
  }
}

/** A job's number in f64: the loss, which is positive, or the sum of the absolute values of the result. */
async function referenceCheck(job: JobName): Promise<number> {
  const device = await requestDevice({ kind: "reference" }), computation = ownJob(job);
  const loaded = await load(device, computation.kind === "training" ? lossOf(computation) : computation);
  const results = await loaded.read();
  loaded.dispose();
  device.dispose();
  let sum = 0;
  for (const array of results) for (let i = 0; i < array.length; i++) sum += Math.abs(array[i]);
  return sum;
}

interface Comparison {
  readonly job: JobName;
  readonly device: TimedDevice;
  readonly expected: number;
  readonly effort: Effort;
  readonly peak?: Peak;
}

/** A contestant at work: the times of its runs so far, and why it stopped, if it did. */
interface Turn {
  readonly contestant: Contestant;
  readonly times: RunTime[];
  prepared?: Prepared;
  memory?: { readonly rssBytes?: number; readonly deviceBytes?: number };
  error?: string;
}

async function compare(
  contestants: readonly Contestant[],
  { job, device, expected, effort, peak }: Comparison,
): Promise<JobComparison> {
  const turns = contestants.map((contestant): Turn => ({ contestant, times: [] }));
  for (const turn of turns) await attempt(turn, () => prepare(turn, job, expected));
  const { flops } = JOBS.find(({ name }) => name === job)!, started = performance.now();
  let peakGflops: number | undefined;
  for (
    let round = 0;
    round < effort.rounds && (round < effort.leastRounds || performance.now() - started < effort.budgetMs);
    round++
  ) {
    for (let i = 0; i < turns.length; i++) {
      const turn = turns[(round + i) % turns.length];
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      await attempt(turn, async () => void turn.times.push(...await turn.contestant.run(effort.turnMs)));
    }
    if (peak && flops) peakGflops = Math.max(peakGflops ?? 0, await peak.measure());
  }
  for (const turn of turns) await attempt(turn, async () => void (turn.memory = await turn.contestant.memory()));
  return { job, device, expected, flops, peakGflops, ...summarizeTurns(turns) };
}

/** Does something unless the contestant has failed before; a failure is kept for the table. */
async function attempt(turn: Turn, work: () => Promise<void>): Promise<void> {
  if (turn.error !== undefined) return;
  try {
    await work();
  } catch (error) {
    if (error instanceof CommandError) throw error;
    turn.error = (error instanceof Error ? error.message : String(error)).split("\n")[0];
  }
}

/** The first run, and the gate. */
async function prepare(turn: Turn, job: JobName, expected: number): Promise<void> {
  const { contestant } = turn;
  const prepared = turn.prepared = await contestant.prepare(job);
  await contestant.run(0); // what is compiled at the second run is not timed either
  const { check } = prepared;
  if (check === undefined || Math.abs(check - expected) <= TOLERANCE * Math.abs(expected)) return;
  const wrong = `computes something else: ${check} instead of ${expected}`;
  if (isOwn(contestant.library)) throw new CommandError(`${job} on ${contestant.device} ${wrong}`);
  throw new Error(wrong);
}

function summaryOf(times: readonly RunTime[]): Timing & { readonly cpuMs: number } {
  return { ...summarize(times.map(({ ms }) => ms)), cpuMs: Math.min(...times.map(({ cpuMs }) => cpuMs)) };
}

function summarizeTurns(
  turns: readonly Turn[],
): Pick<JobComparison, "entries" | "ratio" | "bestPeer" | "ratios" | "scriptRatio" | "scriptFirstRatio"> {
  const entries = turns.map(({ contestant: { library, description }, times, prepared, memory, error }): Entry => {
    const { firstMs, check, note } = prepared ?? {};
    return {
      library,
      description,
      firstMs,
      check,
      note,
      ...memory,
      ...(error === undefined ? summaryOf(times) : { error }),
    };
  });
  const own = entries.find(({ library }) => library === OWN);
  const peers = entries.filter(({ library, error }) => library !== OWN && error === undefined).toSorted((a, b) =>
    a.minMs! - b.minMs!
  );
  if (own?.minMs === undefined || peers.length === 0) return { entries, ratios: {} };
  const others = peers.filter(({ library }) => !isOwn(library));
  const scripts = others.filter(({ library }) => !NATIVE.has(library));
  return {
    entries,
    ...(others.length > 0 ? { ratio: others[0].minMs! / own.minMs, bestPeer: others[0].library } : {}),
    ratios: Object.fromEntries(peers.map(({ library, minMs }) => [library, minMs! / own.minMs!])),
    ...(scripts.length > 0
      ? {
        scriptRatio: scripts[0].minMs! / own.minMs,
        scriptFirstRatio: Math.min(...scripts.map(({ firstMs }) => firstMs!)) / own.firstMs!,
      }
      : {}),
  };
}

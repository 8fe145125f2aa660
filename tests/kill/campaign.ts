/** Kills jobs until a number is reached, lets each come to its end, and compares that with what nobody stopped. */
import { Downloading, slowServer } from "./downloading.ts";
import { FIT_COUNT, Fitting, fitWhole } from "./fitting.ts";
import { canFillDisks, type Kind, type Moment, type Pace, runAndEnd } from "./kill.ts";
import { Random } from "./random.ts";
import { Remembering, rememberWhole } from "./remembering.ts";
import type { Phase, Scenario } from "./scenario.ts";
import { Training, trainWhole, VARIANT_COUNT, writeTexts } from "./training.ts";

/** How many kills, and how. */
export interface CampaignOptions {
  /** A folder of its own. */
  readonly root: string;
  readonly kills: number;
  readonly seed: number;
  /** Jobs at a time. */
  readonly jobs: number;
  /** Hears of each kill. */
  readonly progress?: (done: number) => void;
}

/** What came of the kills. */
export interface CampaignReport {
  readonly kills: number;
  readonly byKind: Readonly<Partial<Record<Kind, number>>>;
  readonly byPhase: Readonly<Partial<Record<Phase, number>>>;
  /** Jobs that came to their end, and to the same numbers. */
  readonly equal: number;
  /** Processes that were started, those that came to their own end included. */
  readonly processes: number;
  /** What was lost, half-written, different, or not said as it should be; each with what was done. */
  readonly failures: readonly string[];
  readonly seconds: number;
}

/** What is killed, and its share of the kills. */
const SHARES = { training: 0.4, fitting: 0.2, remembering: 0.2, downloading: 0.2 };
type Task = keyof typeof SHARES;

/** How often each kind of end is chosen. */
const KINDS: Readonly<Record<Kind, number>> = { SIGKILL: 8, "power loss": 5, SIGTERM: 3, SIGINT: 2, "full disk": 3 };

// After so many there is no need to see more.
const MOST_FAILURES = 10;

/** Runs a campaign. */
export async function campaign(
  { root, kills, seed, jobs, progress = () => {} }: CampaignOptions,
): Promise<CampaignReport> {
  const began = performance.now(), random = new Random(seed);
  await writeTexts(root);
  await using server = slowServer();
  const variants = Array.from({ length: Math.min(VARIANT_COUNT, Math.ceil(kills / 10)) }, (_, i) => i);
  const wholeRuns = await Promise.all(variants.map((variant) => trainWhole(root, variant)));
  const fits = Array.from({ length: Math.min(FIT_COUNT, Math.ceil(kills / 10)) }, (_, i) => i);
  const wholeFits = await Promise.all(fits.map((variant) => fitWhole(root, variant)));
  const wholeMemory = await rememberWhole(root, wholeRuns[0].folder);
  const kinds = await canFillDisks() ? KINDS : { ...KINDS, "full disk": 0 };
  const byKind: Partial<Record<Kind, number>> = {},
    byPhase: Partial<Record<Phase, number>> = {},
    failures: string[] = [];
  let count = 0, equal = 0, processes = 0, scenarios = 0;
  const left = Object.fromEntries(
    Object.entries(SHARES).map(([task, share]) => [task, Math.ceil(kills * share)]),
  ) as Record<Task, number>;

  const make = (task: Task): Scenario => {
    const n = scenarios++;
    if (task === "training") return new Training(root, `run-${n}`, wholeRuns[n % wholeRuns.length]);
    if (task === "fitting") return new Fitting(root, `fit-${n}`, wholeFits[n % wholeFits.length]);
    if (task === "remembering") return new Remembering(root, `memory-${n}`, wholeMemory);
    return new Downloading(root, `file-${n}`, `http://127.0.0.1:${server.addr.port}`);
  };
  const momentFor = ({ work, workMs, largestFile }: Scenario, { startMs }: Pace): Moment => {
    const kind = random.choose(kinds), room = random.integer(largestFile), early = random.chance(0.15);
    if (work === "none") return { kind, room, after: random.below(startMs + workMs) };
    return early ? { kind, room, after: random.below(startMs) } : { kind, room, work, after: random.below(workMs) };
  };
  /** Takes one job to its end. */
  const job = async (task: Task): Promise<void> => {
    const scenario = make(task), pace: Pace = { startMs: 300 }, done: string[] = [];
    try {
      for (let args = await scenario.next(); args !== undefined; args = await scenario.next()) {
        const moment = left[task] > 0 ? momentFor(scenario, pace) : undefined;
        done.push(
          moment ? `${moment.kind} ${Math.round(moment.after)} ms after ${moment.work ?? "the start"}` : "left alone",
        );
        const ended = await runAndEnd(args, moment, pace);
        processes++;
        const phase = await scenario.check(ended);
        if (ended.kind === undefined) continue;
        left[task]--;
        byKind[ended.kind] = (byKind[ended.kind] ?? 0) + 1;
        byPhase[phase] = (byPhase[phase] ?? 0) + 1;
        if (ended.kind === "power loss") await scenario.losePower(random);
        progress(++count);
      }
      await scenario.compare();
      equal++;
    } catch (error) {
      failures.push(
        `${scenario.name}: ${error instanceof Error ? error.message.trim() : error} (after ${done.join(", ")})`,
      );
    }
  };
  const worker = async (): Promise<void> => {
    while (failures.length < MOST_FAILURES) {
      const open = Object.fromEntries(Object.entries(left).filter(([, count]) => count > 0)) as Partial<
        Record<Task, number>
      >;
      if (Object.keys(open).length === 0) return;
      await job(random.choose(open));
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return { kills: count, byKind, byPhase, equal, processes, failures, seconds: (performance.now() - began) / 1000 };
}

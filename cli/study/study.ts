/** `study`: a grid of models, tasks and seeds, trained and evaluated in processes of their own. */
import { commandsIn, launcherWords } from "../child.ts";
import { DEVICE_FLAGS, OUTPUT_FLAGS } from "../common_flags.ts";
import { CommandError, UsageError } from "../errors.ts";
import { makeFolder, makeFolderOf, readTextIfAny, writeAtomic } from "../files.ts";
import { integer, parseFlags, text, toggle, type Values } from "../flags.ts";
import type { Command } from "../help.ts";
import { listenForInterrupt } from "../interrupt.ts";
import { openLocked } from "../lock.ts";
import { formatDuration } from "../progress.ts";
import { RUNS } from "../run_folder.ts";
import { fitLine, type Terminal } from "../terminal.ts";
import { userPath } from "../user_path.ts";
import { VERSION } from "../version.ts";
import { cellName, commandsOf, remainingCells } from "./cells.ts";
import { type Costs, costsOf, factorFor, mergeCosts, readDuration, totalOf } from "./estimate.ts";
import { keepPace, type Pace } from "./pace.ts";
import { readPlan, scalePlan, selectPlan, type StudyPlan } from "./plan.ts";
import { PLANS } from "./plans.ts";
import { probeCosts } from "./probe.ts";
import { appendResult, type CellResult, readResults } from "./results.ts";
import { allDrawings } from "./drawings/drawings.ts";
import { type CellPlace, runCell } from "./run_cell.ts";
import { ownResults, runStudy, type StudyProgress } from "./runner.ts";
import { renderStudy } from "./report/page.ts";
import { shownFigure, summarize, summaryTables } from "./summary.ts";

const FLAGS = {
  plan: { ...text("FILE", "a plan of your own: see --write-plan"), unless: "the default study" },
  quick: toggle("the quick study: one seed, few models and steps, some two minutes on two cores"),
  full: toggle("the full study: five seeds and twenty times the steps, for a GPU"),
  only: { ...text("NAMES", "experiments of the plan, between commas"), unless: "all" },
  models: { ...text("NAMES", "models of the plan, between commas"), unless: "all" },
  seeds: integer("seeds of each model; as the plan says", undefined, { min: 1, max: 100 }),
  budget: {
    ...text("TIME", "how long it may take, such as `2h` or `90m`: scales the steps"),
    unless: "the steps of the plan",
  },
  jobs: integer("runs at once, each on its share of the cores", undefined, { min: 1, max: 256 }),
  launch: {
    ...text(
      "WORDS",
      "words before the command of each run, to start it on another machine: `srun --exclusive -N1 -n1`",
    ),
    unless: "runs are on this machine",
  },
  data: { ...text("DIR", "the folder of data that experiments read; without it they are left out"), unless: "none" },
  out: { ...text("DIR", "the folder of the study"), unless: `${RUNS}/study-NAME` },
  writePlan: text("FILE", "write the plan as JSON, to be edited, and stop"),
  retry: toggle("run cells that failed once more"),
  list: toggle("show what would be run and how long it would take, and stop"),
  noDrawings: toggle("a page without the drawings of how models work, for one of which a small model is trained"),
  report: toggle("show what is there, write the report of it, and stop"),
  device: DEVICE_FLAGS.device,
  nativeCache: DEVICE_FLAGS.nativeCache,
  ...OUTPUT_FLAGS,
} as const;

type StudyFlags = Values<typeof FLAGS>;

/** The command `study`. */
export const studyCommand: Command = {
  summary: "train and evaluate many models side by side, and report what came out",
  description: [
    "Runs a grid of models, tasks and seeds, each training run in a process of its own, and keeps every result.",
    "Models of a comparison have the same data, steps and parameters; of several learning rates each has the one that",
    "is best on validation. Stop it at any time: the same command goes on where it was.",
  ].join("\n"),
  examples: [
    ["deno task study --quick", "a first look, in some two minutes"],
    ["deno task study", "the default study; says how long it will take before it starts"],
    ["deno task study --only recall --models lmm,transformer --seeds 1", "a part of it"],
    ["deno task study --budget 2h --jobs 2", "as many steps as two hours allow, two runs at once"],
    [
      'deno task study:cluster --jobs 16 --launch "srun --exclusive -N1 -n1"',
      "runs on the nodes of a Slurm allocation, from a folder that all of them see",
    ],
    ["deno task study --write-plan runs/mine.json", "the plan as JSON: edit it, then"],
    ["deno task study --plan runs/mine.json", "run your own"],
    ["deno task study --report", "what is there so far"],
  ],
  flags: FLAGS,
  run: study,
};

async function study(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values: flags } = parseFlags(args, FLAGS, "study");
  const wanted = await wantedPlan(flags), budget = budgetOf(flags);
  if (flags.writePlan !== undefined) {
    await makeFolderOf(flags.writePlan, "--write-plan");
    await writeAtomic(flags.writePlan, `${JSON.stringify(wanted, null, 2)}\n`);
    terminal.out(`wrote ${flags.writePlan}: edit it, then run deno task study --plan ${flags.writePlan}\n`);
    return 0;
  }
  const selected = selectPlan(wanted, { only: namesOf(flags.only), models: namesOf(flags.models), seeds: flags.seeds });
  const folder = flags.out ?? `${RUNS}/study-${wanted.name}`, resultsPath = `${folder}/results.jsonl`;
  const found = await readResults(resultsPath),
    results = flags.retry ? found.filter(({ error }) => error === undefined) : found;
  const asked: Asked = { plan: selected, budget: flags.budget ?? null };
  const { plan: begun, pace: kept } = await begunStudy(folder, asked);
  using interrupt = listenForInterrupt(terminal);
  const stop = new AbortController(), timer = setInterval(() => interrupt.requested && stop.abort(new Stopped()), 100);
  try {
    await makeFolder(`${folder}/cells`, "--out");
    using _lock = await locked(folder);
    const place = {
      folder,
      device: deviceFlags(flags),
      run: commandsIn(folder, launcherWords(flags.launch)),
      signal: stop.signal,
    };
    const say = (line: string): void => flags.json ? terminal.err(`${line}\n`) : terminal.out(`${line}\n`);
    const shown = async (plan: StudyPlan, all: readonly CellResult[]): Promise<void> => {
      const report = await writeReport(place, { plan, results: all, isPlain: flags.noDrawings });
      if (!flags.json) terminal.out(`\n${summaryTables(summarize(plan, all))}\n`);
      say(`results in ${resultsPath}, report in ${report}`);
    };
    if (flags.report) {
      await shown(begun ?? selected, results);
      return 0;
    }
    let plan = begun ?? selected, costs: Costs = costsOf(results), pace = kept;
    if (begun === undefined || flags.list) {
      say("measuring how fast this machine is ...");
      const began = performance.now(), jobs = jobsOf(flags), showsProbes = terminal.interactive && !flags.json;
      const probed = await probeCosts(plan, place, {
        jobs,
        evaluates: budget !== undefined,
        progress: (done, total) =>
          showsProbes && terminal.out(`\r\x1b[K${done === total ? "" : `${done} of ${total} models measured`}`),
      });
      costs = mergeCosts(probed, costs);
      const spent = (performance.now() - began) / 1000;
      plan = begun ?? fitBudget(plan, { costs, budget, spent, jobs, say });
      if (budget) pace ??= { seconds: (budget.seconds - spent) * jobs, costs, begun: [] };
    }
    if (flags.list) {
      remainingCells(plan, results).ready.forEach((cell) =>
        say(`  ${cellName(cell)}: train ${commandsOf(plan, cell).train.join(" ")}`)
      );
      return 0;
    }
    sayIdle(plan, results, say);
    const write = () => writeAtomic(`${folder}/${STUDY_FILE}`, `${JSON.stringify({ asked, plan, pace }, null, 2)}\n`);
    await write();
    const all = await runStudy({
      plan,
      ...(pace
        ? {
          begun: pace.begun,
          replan: async (before, results, { begun, next }) => {
            plan = keepPace(before, results, { ...pace!, begun });
            // A run that is killed goes on with the steps that it was begun with.
            pace = { ...pace!, begun: [...begun, next] };
            await write();
            return plan;
          },
        }
        : {}),
      results,
      jobs: jobsOf(flags),
      costs,
      runCell: (cell, plan) => runCell(cell, commandsOf(plan, cell), place),
      keep: (result) => appendResult(resultsPath, result),
      progress: progressOf(plan, terminal, flags.json),
      signal: stop.signal,
    });
    await shown(plan, all);
    return 0;
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    terminal.err("stopped; the same command goes on\n");
    return interrupt.exitCode;
  } finally {
    clearInterval(timer);
  }
}

/** Says that there are results which do not count: their models are now trained with other steps or flags. */
function sayIdle(plan: StudyPlan, results: readonly CellResult[], say: (line: string) => void): void {
  const asked = results.filter(({ cell }) =>
    plan.experiments.some(({ name, models }) => name === cell.experiment && Object.hasOwn(models, cell.model))
  );
  const idle = asked.length - ownResults(plan, asked).length;
  if (idle === 0) return;
  say(
    `${idle} of ${results.length} results there are of other steps or flags, as another plan or --budget had them: they stay in the file, but do not count`,
  );
}

const jobsOf = ({ jobs = 1 }: StudyFlags): number => jobs;

/** The flags of the device that all runs have. */
function deviceFlags(flags: StudyFlags): readonly string[] {
  const jobs = jobsOf(flags), threads = Math.max(1, Math.floor(navigator.hardwareConcurrency / jobs));
  return [
    ...["--device", flags.device],
    // Elsewhere a run has the cores that its launcher gives it.
    ...(jobs > 1 && flags.launch === undefined ? ["--threads", String(threads)] : []),
    ...(flags.nativeCache ? ["--native-cache", flags.nativeCache] : []),
  ];
}

class Stopped extends Error {}

/** Writes the page, and says where. @param isPlain Whether it is to have no drawings. */
async function writeReport(
  place: CellPlace,
  { plan, results, isPlain }: {
    readonly plan: StudyPlan;
    readonly results: readonly CellResult[];
    readonly isPlain: boolean;
  },
): Promise<string> {
  const path = `${place.folder}/report.html`, drawings = isPlain ? [] : await allDrawings(place);
  const seconds = results.reduce((sum, { timing }) => sum + timing.trainSeconds + timing.evaluateSeconds, 0);
  const facts = [
    ["Command", `deno task study${plan.name === "default" ? "" : ` (the plan ${plan.name})`}`],
    ["Runs", `${results.length}, ${plan.seeds} seeds, ${formatDuration(seconds)} in all`],
    ["Device", [...new Set(results.map(({ device }) => device))].join("; ")],
    ["Version", VERSION],
  ] as const;
  await writeAtomic(path, await renderStudy({ plan, summaries: summarize(plan, results), drawings, facts }));
  return path;
}

/** The plan that the flags name. */
async function wantedPlan(flags: StudyFlags): Promise<StudyPlan> {
  const chosen = [flags.plan !== undefined && "--plan", flags.quick && "--quick", flags.full && "--full"].filter(
    Boolean,
  );
  if (chosen.length > 1) throw new UsageError(`${chosen.join(" and ")} each name a plan: give one`);
  if (flags.plan === undefined) {
    return withData(PLANS[flags.quick ? "quick" : flags.full ? "full" : "default"], flags.data);
  }
  const path = userPath(flags.plan), text = await readTextIfAny(path);
  if (text === undefined) throw new UsageError(`--plan cannot be ${path}: there is no such file`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`--plan cannot be ${path}: it is no JSON (${(error as Error).message})`);
  }
  return withData(readPlan(value, path), flags.data);
}

/** The folder of data in a plan's flags. */
const DATA = "{data}";

/** A plan that reads its data in a folder; without one what would read it is left out. */
function withData(plan: StudyPlan, folder: string | undefined): StudyPlan {
  if (folder === undefined) {
    return { ...plan, experiments: plan.experiments.filter((each) => !JSON.stringify(each).includes(DATA)) };
  }
  return JSON.parse(JSON.stringify(plan).replaceAll(DATA, JSON.stringify(userPath(folder)).slice(1, -1)));
}

/** What a study was begun with. */
const STUDY_FILE = "study.json";

/** What was asked for. Steps follow from it, and from how fast the machine was. */
interface Asked {
  readonly plan: StudyPlan;
  readonly budget: string | null;
}

/** The plan of the study in a folder, and its pace if it has a budget, if that was begun with the same request. */
async function begunStudy(
  folder: string,
  asked: Asked,
): Promise<{ readonly plan?: StudyPlan; readonly pace?: Pace }> {
  const path = `${folder}/${STUDY_FILE}`, text = await readTextIfAny(path);
  if (text === undefined) return {};
  const { asked: before, plan, pace } = JSON.parse(text) as {
    readonly asked: Asked;
    readonly plan: unknown;
    readonly pace?: Pace;
  };
  return JSON.stringify(before) === JSON.stringify(asked) ? { plan: readPlan(plan, path), ...(pace && { pace }) } : {};
}

async function locked(folder: string): Promise<Disposable> {
  const file = await openLocked(`${folder}/study.lock`);
  if (file) return { [Symbol.dispose]: () => file.close() };
  throw new CommandError(
    `cannot run the study in ${folder}: another process runs it; wait for it, or give another --out`,
  );
}

/** How long a study may take. */
export interface Budget {
  readonly text: string;
  readonly seconds: number;
}

function budgetOf({ budget: text }: StudyFlags): Budget | undefined {
  if (text === undefined) return undefined;
  const seconds = readDuration(text);
  if (seconds !== undefined) return { text, seconds };
  throw new UsageError(`--budget cannot be ${JSON.stringify(text)}: write 90m, 2h or 1h30m`);
}

/** The steps that the time allows, and what is said of how long it takes. */
export function fitBudget(
  plan: StudyPlan,
  { costs, budget, spent, jobs, say }: {
    readonly costs: Costs;
    readonly budget: Budget | undefined;
    /** Seconds that measuring the costs took, which are part of the budget. */
    readonly spent: number;
    readonly jobs: number;
    readonly say: (line: string) => void;
  },
): StudyPlan {
  const total = totalOf(plan, costs), seconds = (total.fixed + total.steps) / jobs;
  const about = `${total.cells} runs, about ${formatDuration(seconds)}`;
  const without = total.unknown.length > 0 ? ` without ${total.unknown.join(", ")}` : "";
  if (budget === undefined) {
    say(`${about}${without}, and the evaluations of models that have no result yet`);
    return plan;
  }
  const factor = factorFor((budget.seconds - spent) * jobs, total);
  if (factor === undefined) {
    throw new UsageError(
      `--budget cannot be ${budget.text}: starting, compiling and evaluating ${total.cells} runs takes ${
        formatDuration(total.fixed / jobs)
      }, and measuring that took ${formatDuration(spent)}; choose fewer --models or --only some experiments`,
    );
  }
  say(`${about}${without}; steps times ${factor.toPrecision(2)} for ${budget.text}`);
  return scalePlan(plan, factor);
}

/** Shows how far it is: a line for each run that ended, and on a terminal what runs. */
function progressOf(plan: StudyPlan, terminal: Terminal, json: boolean): (progress: StudyProgress) => void {
  return ({ done, total, running, remaining, ended }) => {
    const eta = remaining === undefined ? [] : [`ETA ${formatDuration(remaining)}`];
    if (ended && json) terminal.out(`${JSON.stringify({ event: "cell", done, total, remaining, ...ended })}\n`);
    else if (ended) {
      const seconds = ended.timing.trainSeconds + ended.timing.evaluateSeconds;
      const line = [
        `[${done}/${total}] ${cellName(ended.cell)}`,
        ended.error ?? headline(plan, ended),
        formatDuration(seconds),
        ...eta,
      ];
      terminal.out(`${terminal.interactive ? "\r\x1b[K" : ""}${line.join("; ")}\n`);
    } else if (!json && terminal.interactive && running.length > 0) {
      terminal.out(`\r\x1b[K${fitLine([`[${done}/${total}] ${running.join(", ")}`, ...eta], terminal)}`);
    }
  };
}

/** The figure of a run that people look at first. */
function headline(plan: StudyPlan, { cell, scores, validation = {} }: CellResult): string {
  const { figure } = plan.experiments.find(({ name }) => name === cell.experiment)!.choose;
  const [score] = scores.filter(({ chance }) => chance !== undefined),
    value = score?.value ?? validation[figure] ?? NaN;
  return `${score?.name ?? figure} ${shownFigure({ mean: value, min: value, max: value, count: 1 })}`;
}

function namesOf(list: string | undefined): readonly string[] | undefined {
  return list?.split(",").map((name) => name.trim()).filter(Boolean);
}

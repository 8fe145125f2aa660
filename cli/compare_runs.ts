/** `compare-runs`: several runs side by side, as a table and as a page with their curves in one plot. */
import { OUTPUT_FLAGS } from "./common_flags.ts";
import { UsageError } from "./errors.ts";
import { makeFolderOf, writeAtomic } from "./files.ts";
import { parseFlags, text } from "./flags.ts";
import type { Command } from "./help.ts";
import { factsTable, htmlPage } from "./html_page.ts";
import { isTraining, runTable, summaryOf, type TrainSummary } from "./list.ts";
import { linePlot, type PlotLine } from "./line_plot.ts";
import { PAGE_STYLE } from "./report.ts";
import { readMetrics, RUNS } from "./run_folder.ts";
import { RunHistory, shownBest } from "./run_history.ts";
import type { Terminal } from "./terminal.ts";
import { userPath } from "./user_path.ts";

const FLAGS = { out: text("FILE", "the page to write", `${RUNS}/comparison.html`), ...OUTPUT_FLAGS } as const;

/** More lines than these cannot be distinguished. */
const MOST = 6;
const STYLE = `${PAGE_STYLE}
:root { --d: #1b7f4b; --e: #8a4fbf; --f: #a05a00; }
@media (prefers-color-scheme: dark) { :root { --d: #6fd09b; --e: #cba6f7; --f: #f2b26b; } }
.line3 { stroke: var(--d); stroke-dasharray: 10 3 2 3; } .line4 { stroke: var(--e); stroke-dasharray: 4 4; } .line5 { stroke: var(--f); stroke-dasharray: 12 4; }
`;

/** The command `compare-runs`. */
export const compareRunsCommand: Command = {
  summary: "compare runs: a table, and a page with their curves in one plot",
  description:
    `Compares two to ${MOST} runs of train, and writes one self-contained page with the curves of all of them.`,
  examples: [["deno task compare-runs runs/mac-nano runs/lmm-nano", "two runs; the page is runs/comparison.html"]],
  flags: FLAGS,
  run: compareRuns,
};

/** A run with its curves. */
interface Compared {
  readonly summary: TrainSummary;
  readonly history: RunHistory;
}

async function compareRuns(args: readonly string[], terminal: Terminal): Promise<number> {
  const end = args.findIndex((word) => word.startsWith("-")), count = end < 0 ? args.length : end;
  const paths = args.slice(0, count).map((path) => userPath(path).replace(/(?<=.)\/+$/, ""));
  const { values: { out, json } } = parseFlags(args.slice(count), FLAGS, "compare-runs");
  if (paths.length < 2 || paths.length > MOST) {
    throw new UsageError(
      `compare-runs takes two to ${MOST} run folders, not ${paths.length}: name them before the flags`,
    );
  }
  const runs = await Promise.all(paths.map(read)), [{ history: { unit } }] = runs;
  const other = runs.find(({ history }) => history.unit !== unit);
  if (other) {
    throw new UsageError(
      `compare-runs cannot draw ${other.summary.path} beside ${
        paths[0]
      }: its curves are ${other.history.unit}, not ${unit}`,
    );
  }
  const tasks = new Set(runs.map(({ summary }) => summary.task));
  if (tasks.size > 1) {
    terminal.err(`note: these are runs of ${[...tasks].join(", ")}, whose losses cannot be compared with each other\n`);
  }
  await makeFolderOf(out, "--out");
  await writeAtomic(out, page(runs));
  const summaries = runs.map(({ summary }) => summary);
  if (json) summaries.forEach((summary) => terminal.out(`${JSON.stringify(summary)}\n`));
  else terminal.out(`${runTable(summaries)}\ncurves in ${out}\n`);
  return 0;
}

async function read(path: string): Promise<Compared> {
  const summary = await summaryOf(path), history = new RunHistory();
  if (!summary) throw new UsageError(`there is no run in ${path}: give folders that deno task list shows`);
  if (!isTraining(summary)) {
    throw new UsageError(
      `compare-runs cannot compare ${path}: it is a run of ${summary.command}, whose figures deno task list shows; give runs of train`,
    );
  }
  for (const event of await readMetrics(path)) history.add(event);
  return { summary, history };
}

function page(runs: readonly Compared[]): string {
  const [{ history: { unit } }] = runs, title = `Comparison of ${runs.length} runs`;
  const plot = (id: string, title: string, curve: "training" | "validation"): string => {
    const lines = runs.map(({ summary, history }): PlotLine => ({
      label: summary.path,
      points: history[curve].points,
    }));
    const ends = lines.map(({ label, points }) =>
      points.length === 0 ? `${label} has no points.` : `${label} ends at ${points.at(-1)!.value.toPrecision(4)}.`
    );
    return `<figure>${
      linePlot({ id, title, description: ends.join(" "), xLabel: "step", yLabel: unit, lines })
    }</figure>`;
  };
  return htmlPage({ title, style: STYLE }, [
    ...factsTable(
      "The runs",
      runs.map(({ summary: { path, model, task, step, steps, best, state } }) => [
        path,
        `${model} on ${task}, ${step} of ${steps} steps, ${state}; best validation ${
          best ? `${shownBest(best)} at step ${best.step}` : "none yet"
        }`,
      ]),
    ),
    "<h2>Held out</h2>",
    plot("validation", "What is held out, over steps", "validation"),
    "<h2>Training batches</h2>",
    plot("training", "Training batches, over steps", "training"),
  ]);
}

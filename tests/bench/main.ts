/**
 * The benchmark: `deno task bench --help`.
 *
 * The default mode times the library's own kernels, layers, training steps and decoding (own.ts); `--peers` the same
 * jobs on other libraries (peers.ts); `--against FOLDER` the same cases in another checkout (against.ts); `--busy` how
 * threads do beside other processes (busy.ts); `--explain` shows a job's most expensive kernels (explain.ts); `--scaling` what a token costs as sequences grow (scaling.ts);
 * `--models` how efficient the models are (model_study.ts); `--first-step` the time until the first training step
 * (first_step.ts); `--roofline` what bounds each kernel on GPUs (roofline.ts).
 */
import { CommandError, exitCode, formatError } from "../../cli/errors.ts";
import { processTerminal, type Terminal } from "../../cli/terminal.ts";
import { busyTables, runBusy } from "./busy.ts";
import { explainTables, runExplain } from "./explain.ts";
import { firstStepTables, runFirstStep } from "./first_step.ts";
import { helpText, type Options, readOptions } from "./flags.ts";
import { describeMachine, machineLine } from "./machine.ts";
import { type Effort, EFFORTS } from "./measure.ts";
import { ownTables, runOwn } from "./own.ts";
import { runPeers } from "./peers.ts";
import { rooflineTables, runRoofline } from "./roofline.ts";
import { peersTables } from "./peers_table.ts";
import { runStudy, type StudyPoint } from "./model_study.ts";
import { studyPlot, studyTables } from "./model_study_tables.ts";
import { PointFile } from "./point_file.ts";
import { againstTables, runAgainst } from "./against.ts";
import { runScaling, scalingPlot, scalingTables } from "./scaling.ts";

/** What a mode gives: tables for people, figures for machines, and perhaps a plot. */
interface Outcome {
  readonly tables: string;
  readonly figures: object;
  readonly plot?: string;
  /** What went wrong after that. */
  readonly failure?: string;
}

/** Runs a command line. @returns the exit code: 0, 2 for misuse, 1 for failure, wrong results among them. */
export async function main(args: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const options = readOptions(args);
    if (options.help) {
      terminal.out(helpText());
      return 0;
    }
    const machine = describeMachine();
    terminal.out(`${machineLine(machine)}\n\n`);
    const { tables, figures, plot, failure } = await run(options, terminal);
    terminal.out(tables);
    save(
      options.json,
      `${JSON.stringify({ mode: options.mode, quick: options.quick, machine, ...figures }, null, 1)}\n`,
    );
    terminal.err(`figures: ${options.json}\n`);
    if (plot) {
      const path = options.json.replace(/(\.json)?$/, ".svg");
      save(path, plot);
      terminal.err(`plot: ${path}\n`);
    }
    if (failure) throw new CommandError(failure);
    return 0;
  } catch (error) {
    terminal.err(`${formatError(error, args.includes("--verbose"))}\n`);
    return exitCode(error);
  }
}

async function run(options: Options, terminal: Terminal): Promise<Outcome> {
  const write = (line: string): void => terminal.err(line);
  const effort: Effort = {
    ...EFFORTS[options.quick ? "quick" : "full"],
    ...(options.rounds ? { rounds: options.rounds, leastRounds: options.rounds } : {}),
  };
  switch (options.mode) {
    case "own": {
      const figures = await runOwn(options, effort, write);
      return { tables: ownTables(figures), figures, failure: figures.failure };
    }
    case "peers": {
      const figures = await runPeers(options, effort, write);
      return { tables: peersTables(figures), figures };
    }
    case "against": {
      const figures = await runAgainst(options, effort, write);
      return { tables: againstTables(figures), figures };
    }
    case "busy": {
      const figures = await runBusy(options, effort, write);
      return { tables: busyTables(figures), figures };
    }
    case "explain": {
      const figures = await runExplain(options, write);
      return { tables: explainTables(figures), figures };
    }
    case "roofline": {
      const figures = await runRoofline(options, write);
      return { tables: rooflineTables(figures), figures };
    }
    case "first-step": {
      const figures = await runFirstStep(options, effort, write);
      return { tables: firstStepTables(figures), figures, failure: figures.failure };
    }
    case "models": {
      const { commit, processor, cores } = describeMachine();
      const file = PointFile.open<StudyPoint>(`${options.json}.partial`, {
        commit,
        processor,
        cores,
        quick: options.quick,
      });
      const figures = await runStudy(options, effort, { write, file });
      file.remove();
      return { tables: studyTables(figures), figures, plot: studyPlot(figures) };
    }
    case "scaling": {
      const figures = await runScaling(options, effort, write);
      return { tables: scalingTables(figures), figures, plot: scalingPlot(figures), failure: figures.failure };
    }
  }
}

function save(path: string, text: string): void {
  const folder = path.slice(0, Math.max(0, path.lastIndexOf("/")));
  if (folder) Deno.mkdirSync(folder, { recursive: true });
  Deno.writeTextFileSync(path, text);
}

if (import.meta.main) Deno.exit(await main(Deno.args, processTerminal()));

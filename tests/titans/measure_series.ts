/**
 * Trains forecasters on ETTh1 by the protocol of the benchmarks, several at once in processes of their own, and appends
 * a line of JSON for each run: those that are there already are not run again, so that it can be stopped at any time.
 *
 *     MNEME_DATA=DIR deno task compare:series --help
 *
 * An epoch is a quarter of the windows, which overlap but for one row, the rate halves every other epoch, and two
 * epochs without a better validation end a run. Each model has the learning rate that was best on validation at the
 * first horizon with the first seed.
 */
import { UsageError } from "../../cli/errors.ts";
import { choice, type Flag, integer, text, type Values } from "../../cli/flags.ts";
import { DEVICE_NAMES } from "../../kernels/devices/registry.ts";
import { requestDevice } from "../../kernels/mod.ts";
import { LayerNetwork } from "../../titans/mod.ts";
import { fitNetwork, measureNetwork } from "../../cli/forecast_fit.ts";
import { formatDuration } from "../../cli/progress.ts";
import { FORECASTER_OPTIONS } from "../../titans/models/forecasters/forecaster.ts";
import { forecasterOf } from "../../titans/models/forecasters/registry.ts";
import { defaultsOf } from "../../titans/options/option_table.ts";
import { type Frame, readFrame } from "../../titans/tasks/series/frame.ts";
import { TABLE_OPTIONS, WINDOW_OPTIONS } from "../../titans/tasks/series/options.ts";
import { SeriesWindows } from "../../titans/tasks/series/windows.ts";
import { integers, runTool } from "../tool.ts";

const OUT = "bench/series.jsonl", DATA = "ETTh1.csv";
const BATCH = 32, EPOCHS = 8, STEPS = 66, PATIENCE = 2, VALIDATION = 768;
/** Learning rates that are tried, as multiples of that of the forecaster. */
const FACTORS = [1, 2];

/** A run. */
interface Run {
  readonly model: string;
  readonly horizon: number;
  readonly seed: number;
  readonly learningRate: number;
}

/** What it came to, as a line of the file. */
interface RunResult extends Run {
  readonly data: string;
  readonly mse: number;
  readonly mae: number;
  readonly validation: number;
  readonly epoch: number;
  readonly epochs: number;
  readonly parameters: number;
  readonly seconds: number;
}

const models: Flag<readonly string[]> = {
  help: "the forecasters",
  placeholder: "NAME,...",
  fallback: ["dlinear", "patchtst", "itransformer", "lmm", "simba:lmm"],
  read: (list) => list.split(",").map((name) => forecasterOf(name) && name),
};

const FLAGS = {
  models,
  horizons: integers("rows to forecast", [96, 192, 336, 720], 1),
  seeds: integer("seeds, from 0 on", 3, { min: 1 }),
  jobs: integer("runs at a time", 2, { min: 1, max: 64 }),
  device: choice(DEVICE_NAMES, "where they are trained", "native"),
  threads: integer("threads of each", 1, { min: 1 }),
  run: text("JSON", "the run to do in this process, which prints what it came to; for the processes of --jobs", ""),
};

type Asked = Values<typeof FLAGS>;

const keyOf = ({ model, horizon, seed, learningRate }: Run): string => [model, horizon, seed, learningRate].join(" ");

async function resultsThere(): Promise<RunResult[]> {
  const text = await Deno.readTextFile(OUT).catch(() => "");
  return text.slice(0, text.lastIndexOf("\n") + 1).split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

/** The runs that are left and can start now: rates are tried first, and the best one counts for all others. */
function runsLeft(
  { models, horizons, seeds }: Asked,
  results: readonly RunResult[],
): { readonly ready: readonly Run[]; readonly later: number } {
  const done = new Set(results.map(keyOf)), ready: Run[] = [];
  let later = 0;
  for (const model of models) {
    const tried = FACTORS.map((factor): Run => ({
      model,
      horizon: horizons[0],
      seed: 0,
      learningRate: factor * forecasterOf(model).learningRate,
    }));
    const open = tried.filter((run) => !done.has(keyOf(run)));
    ready.push(...open);
    const others = horizons.flatMap((horizon) => Array.from({ length: seeds }, (_, seed) => ({ model, horizon, seed })))
      .slice(1);
    if (open.length > 0) later += others.length;
    else {
      const trials = tried.map((run) => results.find((result) => keyOf(result) === keyOf(run))!);
      const { learningRate } = trials.reduce((a, b) => b.validation < a.validation ? b : a);
      ready.push(...others.map((run) => ({ ...run, learningRate })).filter((run) => !done.has(keyOf(run))));
    }
  }
  return { ready, later };
}

async function readData(): Promise<Frame> {
  const folder = Deno.env.get("MNEME_DATA");
  if (folder === undefined) throw new UsageError("MNEME_DATA must name the folder that has timeseries/ETTh1.csv.gz");
  const file = await Deno.open(`${folder}/timeseries/${DATA}.gz`);
  const bytes = await new Response(file.readable.pipeThrough(new DecompressionStream("gzip"))).bytes();
  return readFrame({ name: DATA, bytes }, defaultsOf(TABLE_OPTIONS));
}

/** Trains and measures. */
async function measured(run: Run, { device: kind, threads }: Asked): Promise<RunResult> {
  const { model, horizon, seed, learningRate } = run, frame = await readData();
  const device = await requestDevice({
    kind,
    nativeCacheDirectory: "bench/.native",
    threads,
  });
  const began = performance.now(), windows = new SeriesWindows(frame, { ...defaultsOf(WINDOW_OPTIONS), horizon });
  const forecaster = forecasterOf(model), { targets, names: { length: inputs } } = frame;
  const options = { ...defaultsOf(FORECASTER_OPTIONS), ...forecaster.defaults };
  const layer = forecaster.create(options, { lookback: windows.lookback, horizon, inputs, outputs: targets });
  const network = new LayerNetwork(model, layer);
  const fit = await fitNetwork(device, {
    network,
    windows,
    learningRate,
    epochs: EPOCHS,
    patience: PATIENCE,
    batch: BATCH,
    seed,
    stepsPerEpoch: STEPS,
    halveEvery: 2,
    validationWindows: VALIDATION,
  });
  const errors = await measureNetwork(device, { network, params: fit.params, windows, split: "test", batch: BATCH });
  device.dispose();
  return {
    data: DATA,
    ...run,
    ...errors,
    validation: fit.best.mse,
    epoch: fit.best.epoch,
    epochs: fit.epochs.length,
    parameters: network.layout.parameterCount,
    seconds: Math.round((performance.now() - began) / 1000),
  };
}

/** The same in a process of its own. */
async function inChild(run: Run, { device, threads }: Asked): Promise<RunResult> {
  const permissions = ["--allow-read", "--allow-write=bench", "--allow-env", "--allow-run=cc,gcc,clang,zig"];
  const script = ["run", "--quiet", ...permissions, "--allow-ffi=bench/.native", import.meta.filename!];
  const flags = ["--run", JSON.stringify(run), "--device", device, "--threads", `${threads}`];
  const child = new Deno.Command("deno", { args: [...script, ...flags], stdin: "null", stderr: "inherit" });
  const { code, stdout } = await child.output();
  if (code !== 0) throw new Error(`${keyOf(run)} failed`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** Seconds that runs take, as far as runs of their model are known; the mean of all else. */
function secondsOf(runs: readonly Run[], results: readonly RunResult[]): number {
  const mean = (own: readonly RunResult[]): number => own.reduce((sum, { seconds }) => sum + seconds, 0) / own.length;
  return runs.reduce((sum, { model }) => {
    const own = results.filter((result) => result.model === model);
    return sum + mean(own.length > 0 ? own : results);
  }, 0);
}

async function trainAll(asked: Asked): Promise<void> {
  const { jobs } = asked, results = await resultsThere(), running = new Map<string, Promise<void>>();
  await Deno.mkdir("bench", { recursive: true });
  while (true) {
    const { ready } = runsLeft(asked, results), waiting = ready.filter((run) => !running.has(keyOf(run)));
    for (const run of waiting.slice(0, jobs - running.size)) {
      const work = inChild(run, asked).then(async (result) => {
        await Deno.writeTextFile(OUT, `${JSON.stringify(result)}\n`, { append: true, create: true });
        results.push(result);
        running.delete(keyOf(run));
        const { ready, later } = runsLeft(asked, results),
          mean = secondsOf(ready, results) + later * secondsOf([run], results);
        const errors = `${result.mse.toFixed(3)} ${result.mae.toFixed(3)} in ${result.seconds}s`;
        console.log(`${keyOf(run)}: ${errors}; ${ready.length + later} left, ETA ${formatDuration(mean / jobs)}`);
      });
      running.set(keyOf(run), work);
    }
    if (running.size === 0) break;
    await Promise.race(running.values());
  }
}

if (import.meta.main) {
  await runTool({
    task: "compare:series",
    about:
      `Trains forecasters on ETTh1 of MNEME_DATA, for the table of docs/forecast.md, and appends a line for each run to
${OUT}: the same command goes on where it was stopped. Hours on two cores.`,
    flags: FLAGS,
    run: async (asked) => {
      if (asked.run === "") await trainAll(asked);
      else console.log(JSON.stringify(await measured(JSON.parse(asked.run), asked)));
    },
  });
}

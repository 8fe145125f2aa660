/** `forecast`: trains a forecaster on a table of series, says how good it is, and writes the rows to come. */
import type { Device } from "../kernels/mod.ts";
import { ConfigError, LayerNetwork, type NamedArrays, type TaskFile } from "../titans/mod.ts";
import { FORECASTER_OPTIONS } from "../titans/models/forecasters/forecaster.ts";
import { forecasterOf, FORECASTERS } from "../titans/models/forecasters/registry.ts";
import { defaultsOf, resolveOptions } from "../titans/options/option_table.ts";
import { measureFloor, SERIES_FLOORS } from "../titans/tasks/series/floors.ts";
import { type Frame, readFrame } from "../titans/tasks/series/frame.ts";
import { TABLE_OPTIONS, WINDOW_OPTIONS } from "../titans/tasks/series/options.ts";
import { SeriesWindows } from "../titans/tasks/series/windows.ts";
import { DEVICE_FLAGS, deviceOptions, OUTPUT_FLAGS } from "./common_flags.ts";
import { UsageError } from "./errors.ts";
import { writeAtomic } from "./files.ts";
import { sha256Hex } from "./data/sha256.ts";
import type { FitKeeper, TrainedEpochs } from "./fit/epochs.ts";
import { FIT_FLAGS } from "./fit/fit_config.ts";
import { firstWeights, FitRun } from "./fit/fit_run.ts";
import { timeLeft } from "./fit/time_left.ts";
import { type Epoch, fitNetwork, type ForecastErrors, measureNetwork } from "./forecast_fit.ts";
import { forecastCsv, forecastReport, type Forecasts } from "./forecast_report.ts";
import { predictWindow } from "./forecast_window.ts";
import { flagName, integer, number, parseFlags, required, text, under, type Values } from "./flags.ts";
import type { Command } from "./help.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { formatCount } from "./progress.ts";
import { RUNS } from "./run_folder.ts";
import { flagsOf, optionsGiven } from "./table_flags.ts";
import { readTaskFile } from "./task_files.ts";
import { fitLine, type Terminal } from "./terminal.ts";

const { data: _, ...TABLE } = TABLE_OPTIONS;

const shown = (table: Readonly<Record<string, { readonly default: string | number | boolean }>>) => ({
  unless: (name: string) => String(table[name].default) || undefined,
});

const FLAGS = {
  data: required("FILE", "CSV file with a row per time, also gzipped"),
  model: text(
    "NAME",
    `what forecasts: ${Object.keys(FORECASTERS).join(", ")}, a model of \`train\` such as lmm, or simba:lmm`,
    "dlinear",
  ),
  ...flagsOf(TABLE, shown(TABLE)),
  ...flagsOf(WINDOW_OPTIONS, shown(WINDOW_OPTIONS)),
  ...under("Training", {
    epochs: integer("times that all windows are trained on, at most", 10, { min: 1, max: 1000 }),
    patience: integer("epochs without a better validation after which training ends", 3, { min: 1, max: 1000 }),
    batch: integer("windows of a step", 32, { min: 1, max: 2 ** 14 }),
    lr: {
      ...number("learning rate of the first epoch; it is halved after each", undefined, { min: 0, aboveMin: true }),
      unless: "the model's own",
    },
    seed: integer("seed of the first weights and of the order of windows", 0, { min: 0, max: 2 ** 32 - 1 }),
  }),
  ...under("Model", { ...flagsOf(FORECASTER_OPTIONS, { unless: () => "the model's own" }) }),
  ...under("Run", {
    out: { ...text("DIR", "folder for forecast.csv and report.html"), unless: `one of the table's name in ${RUNS}/` },
    ...FIT_FLAGS,
  }),
  ...DEVICE_FLAGS,
  ...OUTPUT_FLAGS,
} as const;

type ForecastFlags = Values<typeof FLAGS>;

/** The command `forecast`. */
export const forecastCommand: Command = {
  summary: "forecast the columns of a CSV file",
  description: [
    "Trains a forecaster on a table with a row per time, measures it on the last rows beside forecasts that need no",
    "training, and writes the rows after the end of the table: forecast.csv, and report.html with plots.",
  ].join("\n"),
  examples: [
    ["deno task forecast --data load.csv --horizon 48", "all columns of numbers, the next 48 rows"],
    ["deno task forecast --data load.csv --target load --covariates temperature,holiday", "one column, reading others"],
    ["deno task forecast --data load.csv --model lmm --epochs 5", "the neural memory over patches of each window"],
    [
      "deno task forecast --data stations.csv --by station --gaps fill",
      "several rows per time, hours that are missing",
    ],
  ],
  flags: FLAGS,
  run: forecast,
};

async function forecast(args: readonly string[], terminal: Terminal): Promise<number> {
  const parsed = parseFlags(args, FLAGS, "forecast");
  using interrupt = listenForInterrupt(terminal);
  using run = await FitRun.open("forecast", parsed);
  const { flags } = run;
  if (flags.data === undefined) throw new UsageError("forecast needs a table: give --data FILE");
  const file = await readTaskFile(flags.data, "the table of forecast");
  const { frame, windows } = inFlags(() => windowsOf(file, flags));
  const network = networkOf(flags, windows);
  const say = (line: string, event: object): void =>
    terminal.out(flags.json ? `${JSON.stringify(event)}\n` : `${line}\n`);
  sayStart(say, { flags, frame, network, windows });
  const name = `forecast-${file.name.replace(/\.[^.]*$/, "").replace(/[^\w.-]+/g, "-")}`;
  await run.begin(name, { data: await sha256Hex(file.bytes), weights: await firstWeights(network, flags.seed) });
  return await run.carryOut(deviceOptions(flags), { terminal, interrupt }, async (device) => {
    const keeper = await run.keeper<Epoch>(network, interrupt), asked = { flags, network, windows, say, terminal };
    const trained = await train(device, { ...asked, keeper }), { params } = trained;
    const results = await measured(device, { ...asked, params });
    await writeResults(device, { ...asked, trained, results, out: run.path });
    const [{ mse, mae }] = results;
    return { mse, mae };
  });
}

/** What the parts of the command take. */
interface Forecasting {
  readonly flags: ForecastFlags;
  readonly network: LayerNetwork;
  readonly windows: SeriesWindows;
  readonly say: (line: string, event: object) => void;
  readonly terminal: Terminal;
}

function sayStart(
  say: Forecasting["say"],
  { flags, frame, network, windows }: Omit<Forecasting, "say" | "terminal"> & { readonly frame: Frame },
): void {
  const counts = {
    train: windows.count("train"),
    validation: windows.count("validation"),
    test: windows.count("test"),
  };
  say(
    `${frame.name}: ${formatCount(frame.rows)} rows of ${frame.names.join(", ")}${notesOf(frame)}\n${network}; ${
      formatCount(counts.train)
    } windows to train on, ${formatCount(counts.validation)} to validate, ${formatCount(counts.test)} to test`,
    {
      event: "start",
      data: frame.name,
      rows: frame.rows,
      columns: frame.names,
      missing: frame.missing,
      model: flags.model,
      parameters: network.layout.parameterCount,
      windows: counts,
    },
  );
}

/** Says how good the network is, forecasts, and writes both. */
async function writeResults(
  device: Device,
  { network, windows, say, trained: { params, epochs, best }, results, out }: Forecasting & {
    readonly trained: TrainedEpochs<Epoch>;
    readonly results: readonly NamedErrors[];
    readonly out: string;
  },
): Promise<void> {
  for (const { name, mse, mae } of results) {
    say(`${name.padEnd(28)} mse ${mse.toFixed(4)}  mae ${mae.toFixed(4)}`, { event: "test", name, mse, mae });
  }
  const predict = (row: number): Promise<Float64Array> => predictWindow(device, { network, params, windows, row });
  const { lookback, horizon, frame: { rows } } = windows;
  const forecasts: Forecasts = {
    windows,
    next: await predict(rows - lookback),
    last: await predict(rows - lookback - horizon),
  };
  const facts = { model: String(network), epochs, best, results };
  await writeAtomic(`${out}/forecast.csv`, forecastCsv(forecasts));
  await writeAtomic(`${out}/report.html`, forecastReport(forecasts, facts));
  say(`forecast of ${horizon} rows in ${out}/forecast.csv, plots in ${out}/report.html`, {
    event: "done",
    forecast: `${out}/forecast.csv`,
    report: `${out}/report.html`,
  });
}

function windowsOf(file: TaskFile, flags: ForecastFlags): { readonly frame: Frame; readonly windows: SeriesWindows } {
  const frame = readFrame(file, { ...defaultsOf(TABLE_OPTIONS), ...optionsGiven(TABLE, flags) });
  const options = { ...defaultsOf(WINDOW_OPTIONS), ...optionsGiven(WINDOW_OPTIONS, flags) };
  return { frame, windows: new SeriesWindows(frame, options) };
}

/** Runs something whose errors advise options of the task, which are flags here: `gaps=fill` is `--gaps fill`. */
function inFlags<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const isFlag = (name: string): boolean => name in TABLE || name in WINDOW_OPTIONS;
    const text = error.message.replace(
      /(?:\bthe option )?\b(\w+)=(\w+)|\bthe option (\w+)/g,
      (whole, name, value, alone) =>
        isFlag(name ?? alone) ? `${flagName(name ?? alone)}${value === undefined ? "" : ` ${value}`}` : whole,
    );
    throw new ConfigError(text, error.field);
  }
}

function notesOf({ missing, inserted, time }: Frame): string {
  const notes = [
    ...(time ? [] : ["no column of time stamps"]),
    ...(missing > 0 ? [`${formatCount(missing)} values missing`] : []),
    ...(inserted > 0 ? [`${formatCount(inserted)} rows put in`] : []),
  ];
  return notes.length > 0 ? ` (${notes.join(", ")})` : "";
}

/** The network that flags ask for. @throws {UsageError} if it reads no covariates and some are given. */
function networkOf(flags: ForecastFlags, { frame, lookback, horizon }: SeriesWindows): LayerNetwork {
  const forecaster = forecasterOf(flags.model), { names, targets } = frame;
  if (names.length > targets && !forecaster.readsCovariates) {
    throw new UsageError(
      `--covariates changes nothing with --model ${flags.model}: leave it out, or take another model`,
    );
  }
  const given = optionsGiven(FORECASTER_OPTIONS, flags), defaults = defaultsOf(FORECASTER_OPTIONS);
  const options = resolveOptions("a forecaster", FORECASTER_OPTIONS, { ...forecaster.defaults, ...given }, defaults);
  const shape = { lookback, horizon, inputs: names.length, outputs: targets };
  return new LayerNetwork(flags.model, forecaster.create(options, shape));
}

function train(
  device: Device,
  { flags, network, windows, say, terminal, keeper }: Forecasting & { readonly keeper: FitKeeper<Epoch> },
): Promise<TrainedEpochs<Epoch>> {
  const shows = terminal.interactive && !flags.json, eta = timeLeft(keeper.begun?.state?.step);
  return fitNetwork(device, {
    network,
    windows,
    learningRate: flags.lr ?? forecasterOf(flags.model).learningRate,
    epochs: flags.epochs,
    patience: flags.patience,
    batch: flags.batch,
    seed: flags.seed,
    keeper,
    progress: (done, most, loss) => {
      if (!shows) return;
      const parts = [`step ${done} of at most ${most}`, `loss ${loss.toFixed(4)}`, `ETA ${eta(done, most)}`];
      terminal.err(`\r\x1b[K${done === most ? "" : fitLine(parts, terminal)}`);
    },
    report: (epoch) => {
      if (shows) terminal.err("\r\x1b[K");
      const { training, mse, mae } = epoch;
      say(
        `epoch ${epoch.epoch}: training ${training.toFixed(4)}, validation mse ${mse.toFixed(4)}, mae ${
          mae.toFixed(4)
        }`,
        { event: "epoch", ...epoch },
      );
    },
  });
}

type NamedErrors = { readonly name: string } & ForecastErrors;

/** Errors on the test part: of the network, and of forecasts that need no training. */
async function measured(
  device: Device,
  { flags, network, windows, params }: Forecasting & { readonly params: NamedArrays },
): Promise<readonly NamedErrors[]> {
  const own = await measureNetwork(device, { network, params, windows, split: "test", batch: flags.batch });
  const floors = Object.keys(SERIES_FLOORS).map((name) => ({ name, ...measureFloor(windows, name) }));
  return [{ name: flags.model, ...own }, ...floors];
}

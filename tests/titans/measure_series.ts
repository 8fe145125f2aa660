/**
 * Trains forecasters on ETTh1 by the protocol of the benchmarks, and appends a line of JSON for each run: those that are
 * there already are not run again, so that it can be stopped at any time.
 *
 *     MNEME_DATA=DIR deno task compare:series [--models lmm,dlinear] [--horizons 96,192] [--seeds 3] [--device native]
 */
import { type DeviceKind, requestDevice } from "../../kernels/mod.ts";
import { LayerNetwork } from "../../titans/mod.ts";
import { fitNetwork, measureNetwork } from "../../cli/forecast_fit.ts";
import { FORECASTER_OPTIONS } from "../../titans/models/forecasters/forecaster.ts";
import { forecasterOf } from "../../titans/models/forecasters/registry.ts";
import { defaultsOf } from "../../titans/options/option_table.ts";
import { readFrame } from "../../titans/tasks/series/frame.ts";
import { TABLE_OPTIONS, WINDOW_OPTIONS } from "../../titans/tasks/series/options.ts";
import { SeriesWindows } from "../../titans/tasks/series/windows.ts";

const MODELS = "dlinear,itransformer,lmm,patchtst,simba:lmm,rlinear,nlinear,simba", OUT = "bench/series.jsonl";

/** A run, as a line of the file. */
interface Run {
  readonly data: string;
  readonly model: string;
  readonly horizon: number;
  readonly seed: number;
}

function flag(name: string, otherwise: string): string {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? otherwise : Deno.args[at + 1] ?? otherwise;
}

async function doneRuns(): Promise<ReadonlySet<string>> {
  const text = await Deno.readTextFile(OUT).catch(() => "");
  return new Set(text.split("\n").filter(Boolean).map((line) => keyOf(JSON.parse(line) as Run)));
}

const keyOf = ({ data, model, horizon, seed }: Run): string => [data, model, horizon, seed].join(" ");

async function main(): Promise<void> {
  const folder = Deno.env.get("MNEME_DATA"), data = "ETTh1.csv";
  if (folder === undefined) throw new Error("MNEME_DATA must name the folder that has timeseries/ETTh1.csv.gz");
  const file = await Deno.open(`${folder}/timeseries/${data}.gz`);
  const bytes = await new Response(file.readable.pipeThrough(new DecompressionStream("gzip"))).bytes();
  const frame = readFrame({ name: data, bytes }, defaultsOf(TABLE_OPTIONS));
  const device = await requestDevice({
    kind: flag("device", "native") as DeviceKind,
    nativeCacheDirectory: "bench/.native",
  });
  await Deno.mkdir("bench", { recursive: true });
  for (let seed = 0; seed < Number(flag("seeds", "3")); seed++) {
    for (const horizon of flag("horizons", "96,192,336,720").split(",").map(Number)) {
      for (const model of flag("models", MODELS).split(",")) {
        const run: Run = { data, model, horizon, seed };
        if ((await doneRuns()).has(keyOf(run))) continue;
        const began = performance.now(), windows = new SeriesWindows(frame, { ...defaultsOf(WINDOW_OPTIONS), horizon });
        const forecaster = forecasterOf(model), { targets, names: { length: inputs } } = frame;
        const options = { ...defaultsOf(FORECASTER_OPTIONS), ...forecaster.defaults };
        const layer = forecaster.create(options, { lookback: windows.lookback, horizon, inputs, outputs: targets });
        const network = new LayerNetwork(model, layer), { learningRate } = forecaster;
        const fit = await fitNetwork(device, {
          network,
          windows,
          learningRate,
          epochs: 10,
          patience: 3,
          batch: 32,
          seed,
          report: ({ epoch, training, mse }) =>
            console.log(`${keyOf(run)}: epoch ${epoch}, training ${training.toFixed(4)}, validation ${mse.toFixed(4)}`),
        });
        const errors = await measureNetwork(device, { network, params: fit.params, windows, split: "test", batch: 32 });
        const line = {
          ...run,
          ...errors,
          validation: fit.best.mse,
          epoch: fit.best.epoch,
          epochs: fit.epochs.length,
          parameters: network.layout.parameterCount,
          learningRate,
          seconds: Math.round((performance.now() - began) / 1000),
        };
        console.log(JSON.stringify(line));
        await Deno.writeTextFile(OUT, `${JSON.stringify(line)}\n`, { append: true, create: true });
      }
    }
  }
  device.dispose();
}

if (import.meta.main) await main();

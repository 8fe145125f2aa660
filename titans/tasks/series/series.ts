/**
 * Forecasting the rows of a table: windows of `lookback` rows are read, the `horizon` rows after them are predicted, by
 * the protocol of the ETT benchmarks (windows.ts). A model reads patches, one token each, and forecasts at the last.
 *
 *     lookback 96, patch 16, stride 8:  12 tokens of 16 numbers per window and column -> 96 numbers at the last token
 */
import type { Tensor } from "../../../core/graph.ts";
import { abs, reshape, sliceAxis } from "../../../ops/mod.ts";
import { ConfigError } from "../../errors.ts";
import { patchCount, patchesOf, restore, standardize, windowMoments } from "../../nn/patches.ts";
import { filesOf } from "../files.ts";
import { defineTask, type Task, type TaskFile, type TaskFiles, type TaskInstance } from "../task.ts";
import { floorScores } from "./floors.ts";
import { errorsOf, type ForecastBatch, rowWidths, windowBatches, windowFields } from "./forecasting.ts";
import { readFrame } from "./frame.ts";
import { SERIES_OPTIONS, type SeriesOptions, type TableOptions } from "./options.ts";
import { SeriesWindows } from "./windows.ts";

/** Forecasting of a table of series. */
export const series: Task<typeof SERIES_OPTIONS, ForecastBatch> = defineTask({
  name: "series",
  summary: "the next rows of a table of series, by the protocol of the ETT benchmarks",
  options: SERIES_OPTIONS,
  reads: ["data"],
  create: (options, files): TaskInstance<ForecastBatch> => {
    const windows = new SeriesWindows(readFrame(seriesFile(options, files), options), options);
    return seriesInstance(windows, options);
  },
});

/** The one file of the option `data`. @throws {ConfigError} if there is none, or a folder of several. */
export function seriesFile({ data }: Pick<TableOptions, "data">, files: TaskFiles | undefined): TaskFile {
  const found = filesOf("series", { option: "data", path: data, files });
  if (found.length === 1) return found[0];
  throw new ConfigError(
    `Cannot use ${data} as a table: it is a folder of ${found.length} files, give one of them`,
    "data",
  );
}

function seriesInstance(windows: SeriesWindows, options: SeriesOptions): TaskInstance<ForecastBatch> {
  const { patch, stride, lookback, horizon } = options, layout = { mixed: options.channels === "mixed" };
  if (patch > lookback) {
    throw new ConfigError(
      `Cannot cut patches of ${patch} rows: a window has ${lookback}, the option lookback`,
      "patch",
    );
  }
  const { read, forecast } = rowWidths(windows, layout), tokens = patchCount(lookback, { patch, stride });
  const output = (logits: Tensor, { past }: ForecastBatch): Tensor => {
    const [B] = past.shape, last = reshape(sliceAxis(logits, 1, tokens - 1, 1), [B, horizon, forecast]);
    return options.normalize ? restore(last, windowMoments(sliceAxis(past, 2, 0, forecast))) : last;
  };
  return {
    requires: { features: patch * read, outputs: horizon * forecast },
    length: tokens,
    fields: () => windowFields(windows, layout),
    batches: windowBatches(windows, layout),
    input: ({ past }) => {
      const rows = options.normalize ? standardize(past, windowMoments(past)) : past;
      return { tokens: patchesOf(rows, { patch, stride }) };
    },
    loss: (logits, batch) => errorsOf(output(logits, batch), batch),
    metrics: (logits, batch) => ({ mae: errorsOf(output(logits, batch), batch, abs) }),
    // Samples of channels by themselves are a part of a window each.
    floors: (samples) => floorScores(windows, Math.ceil(samples / (layout.mixed ? 1 : windows.frame.targets))),
  };
}

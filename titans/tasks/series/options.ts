/** The options of the task `series`: which columns of which file, and how they are cut into windows. */
import type { OptionsOf, OptionTable } from "../../options/option_table.ts";

/** Options of a table of series. */
export const TABLE_OPTIONS = {
  data: {
    kind: "text",
    placeholder: "FILE",
    default: "",
    help:
      "CSV file with a row per time, also gzipped; `made-up-series` from the command line for hours of four made-up columns",
  },
  time: {
    kind: "text",
    placeholder: "COLUMN",
    default: "",
    help: "column of the time stamps; empty for the first column that has any, `none` for rows that are evenly spaced",
  },
  columns: {
    kind: "text",
    placeholder: "COLUMN,...",
    default: "",
    flag: "target",
    help: "columns to forecast, separated by commas; empty for all that have numbers",
  },
  covariates: {
    kind: "text",
    placeholder: "COLUMN,...",
    default: "",
    help: "columns that are read but not forecast, separated by commas",
  },
  by: {
    kind: "text",
    placeholder: "COLUMN",
    default: "",
    help: "of tables with several rows per time: the column that tells which series a row belongs to",
  },
  missing: {
    kind: "choice",
    choices: { carry: "carried forward from the row before", refuse: "an error" },
    default: "carry",
    help: "what becomes of values that are missing",
  },
  gaps: {
    kind: "choice",
    choices: {
      refuse: "an error",
      fill: "rows are put in, whose values are missing",
      ignore: "rows are taken as if they were evenly spaced",
    },
    default: "refuse",
    help: "what becomes of rows that are not as far apart as the others",
  },
} as const satisfies OptionTable;

/** Options of the windows of series. */
export const WINDOW_OPTIONS = {
  lookback: { kind: "integer", default: 96, min: 2, max: 2 ** 16, help: "rows that a forecast looks back on" },
  horizon: { kind: "integer", default: 96, min: 1, max: 2 ** 16, help: "rows that are forecast" },
  borders: {
    kind: "choice",
    choices: {
      auto: "by the name of the file: of ETTh and ETTm their own, else `share`",
      etth: "12, 4 and 4 months of 30 days of hours",
      ettm: "as many months, of rows 15 minutes apart",
      share: "70% of the rows to train on, 20% at the end to test on, those between to validate on",
    },
    default: "auto",
    help: "how rows are split",
  },
} as const satisfies OptionTable;

/** Options of {@link series}. */
export const SERIES_OPTIONS = {
  ...TABLE_OPTIONS,
  ...WINDOW_OPTIONS,
  channels: {
    kind: "choice",
    choices: { independent: "each by itself, by one model", mixed: "all of a window at once" },
    default: "independent",
    help: "how the columns of a window are read",
  },
  normalize: {
    kind: "toggle",
    default: true,
    help: "whether each window is standardised by its own mean and deviation, and forecasts are put back",
  },
  patch: { kind: "integer", default: 16, min: 1, max: 2 ** 16, help: "rows of a patch, which is a token" },
  stride: { kind: "integer", default: 8, min: 1, max: 2 ** 16, help: "rows from one patch to the next" },
} as const satisfies OptionTable;

/** A table's options. */
export type TableOptions = OptionsOf<typeof TABLE_OPTIONS>;

/** The options of windows. */
export type WindowOptions = OptionsOf<typeof WINDOW_OPTIONS>;

/** The options of the task. */
export type SeriesOptions = OptionsOf<typeof SERIES_OPTIONS>;

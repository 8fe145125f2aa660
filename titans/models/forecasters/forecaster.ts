/** What a forecaster is: a value with a name that makes a layer from windows of series to the rows after them. */
import type { Tensor } from "../../../core/graph.ts";
import type { Layer } from "../../nn/layer.ts";
import type { OptionsOf, OptionTable } from "../../options/option_table.ts";

/** Options of forecasters. */
export const FORECASTER_OPTIONS = {
  width: { kind: "integer", default: 64, min: 1, max: 4096, help: "width of a token" },
  blocks: { kind: "integer", default: 2, min: 1, max: 64, help: "blocks, or layers of an encoder" },
  heads: { kind: "integer", default: 2, min: 1, max: 256, help: "heads of attention or of a memory" },
  hidden: { kind: "integer", default: 128, min: 1, max: 2 ** 16, help: "hidden width of MLPs" },
  patch: { kind: "integer", default: 16, min: 1, max: 2 ** 16, help: "rows of a patch, which is a token" },
  stride: { kind: "integer", default: 8, min: 1, max: 2 ** 16, help: "rows from one patch to the next" },
  average: {
    kind: "integer",
    default: 25,
    min: 1,
    max: 1024,
    help: "rows of the moving average that is taken for the trend",
  },
  channels: {
    kind: "choice",
    choices: { independent: "each by itself, by one model", mixed: "all at once" },
    default: "independent",
    help: "how models that read patches take the columns of a window",
  },
  normalize: {
    kind: "toggle",
    default: true,
    help: "whether each window is standardised by its own mean and deviation, and forecasts are put back",
  },
} as const satisfies OptionTable;

/** The options. */
export type ForecasterOptions = OptionsOf<typeof FORECASTER_OPTIONS>;

/** Extents of windows and forecasts. */
export interface ForecastShape {
  /** Rows that are read, L. */
  readonly lookback: number;
  /** Rows that are forecast, H. */
  readonly horizon: number;
  /** Columns that are read, F: those to forecast first. */
  readonly inputs: number;
  /** Columns that are forecast, C. */
  readonly outputs: number;
}

/** A forecaster: its layer takes f32 [B, L, F] to [B, H, C]. */
export interface Forecaster {
  /** What flags call it. */
  readonly name: string;
  /** One line for help texts. */
  readonly summary: string;
  /** The arXiv identifier of the paper that it is from. */
  readonly paper?: string;
  /** Options that differ from the defaults of the table, such as its paper's. */
  readonly defaults: Partial<ForecasterOptions>;
  /** The learning rate that it trains well with. */
  readonly learningRate: number;
  /** Whether it reads covariates, and not only the columns that it forecasts. */
  readonly readsCovariates: boolean;
  /** Makes the layer. @throws {ConfigError} if options are at odds with each other or with the shape. */
  create(options: ForecasterOptions, shape: ForecastShape): Layer<unknown, [past: Tensor]>;
}

/** A layer whatever its parameters are, as registries hold it. */
export function anyLayer<P>({ parameters, apply }: Layer<P, [past: Tensor]>): Layer<unknown, [past: Tensor]> {
  return { parameters: parameters as Layer<unknown>["parameters"], apply: (params, past) => apply(params as P, past) };
}

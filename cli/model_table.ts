/** The models side by side: what each is, how large, what it carries from token to token, and what a token costs. */
import { readingFlops, stateBytesOf } from "../figures/cost.ts";
import {
  defineConfig,
  Model,
  MODEL_OPTIONS,
  type ModelConfig,
  type ModelKind,
  type PresetName,
  withParameters,
} from "../titans/mod.ts";
import { paperOf } from "../titans/mixers/recipes.ts";

/** The length of text for which the cost of a token is given: that of attention grows with it. */
export const COUNTED_TOKENS = 512;

/** A model in numbers. */
export interface ModelRow {
  readonly model: ModelKind;
  readonly summary: string;
  /** The arXiv identifier of the paper that it is from, or null. */
  readonly paper: string | null;
  /** The mixers of its blocks. */
  readonly blocks: readonly string[];
  readonly width: number;
  readonly mlpHidden: number;
  readonly parameters: number;
  /** What decoding carries from token to token, in bytes. */
  readonly stateBytes: number;
  /** Arithmetic of reading, a token of {@link COUNTED_TOKENS}; a multiply-add is two. */
  readonly flopsPerToken: number;
}

/** Every model by name in a preset, or with some number of parameters. */
export function modelTable(preset: PresetName, parameters?: number): ModelRow[] {
  return (Object.keys(MODEL_OPTIONS.model.choices) as ModelKind[]).map((kind) => {
    const config = defineConfig({ model: kind }, preset);
    return rowOf(kind, new Model(parameters === undefined ? config : withParameters(config, parameters)));
  });
}

function rowOf(kind: ModelKind, model: Model): ModelRow {
  const { width, mlpHidden }: ModelConfig = model.config;
  return {
    model: kind,
    summary: MODEL_OPTIONS.model.choices[kind],
    paper: paperOf(kind) ?? null,
    blocks: model.layers.map(({ mixer }) => mixer.name),
    width,
    mlpHidden,
    parameters: model.layout.parameterCount,
    stateBytes: stateBytesOf(model),
    flopsPerToken: readingFlops(model, COUNTED_TOKENS) / COUNTED_TOKENS,
  };
}

const HEADER = ["model", "paper", "parameters", "state kB", "MFLOPs/token", "blocks"];

/** The rows as a table for reading. */
export function formatModelTable(rows: readonly ModelRow[]): string {
  const cells = [
    HEADER,
    ...rows.map(({ model, paper, parameters, stateBytes, flopsPerToken, blocks }) => [
      model,
      paper ? `arXiv ${paper}` : "",
      parameters.toLocaleString("en"),
      (stateBytes / 1e3).toFixed(1),
      (flopsPerToken / 1e6).toFixed(2),
      blocks.join(),
    ]),
  ];
  const widths = HEADER.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  const isNumber = (column: number): boolean => column >= 2 && column <= 4;
  return cells.map((row) =>
    row.map((cell, column) => isNumber(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column]))
      .join("  ").trimEnd()
  ).join("\n") + "\n";
}

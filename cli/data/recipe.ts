/**
 * The recipe of a run's text, stored in its config.json so that the run resumes with the same tokens in the same order.
 */

import { defaultsOf, type OptionsOf, type OptionTable } from "../../titans/options/option_table.ts";

/** The options of a recipe that are no texts. */
export const RECIPE_OPTIONS = {
  format: {
    kind: "choice",
    choices: {
      auto: "by a file's name and first bytes",
      text: "one document per file",
      jsonl: "one JSON record per line",
      csv: "a table with commas",
      tsv: "a table with tabs",
      parquet: "a table in columns",
    },
    default: "auto",
    help: "what files are",
  },
  heldOut: {
    kind: "number",
    default: 0.05,
    min: 0,
    aboveMin: true,
    max: 0.5,
    help: "share of each text that is not learned from, and validated on",
  },
  split: {
    kind: "choice",
    choices: { end: "the end of each text", scattered: "pieces that the seed chooses" },
    default: "end",
    help: "what is held out",
  },
} as const satisfies OptionTable;

/** Formats of files. */
export const FORMATS = Object.keys(RECIPE_OPTIONS.format.choices) as readonly Format[];
/** A format of files; `auto` goes by the end of a file's name, and by its first bytes. */
export type Format = OptionsOf<typeof RECIPE_OPTIONS>["format"];

/** Which part of a text is held out: its `end`, or `scattered` pieces that the seed chooses. */
export type Split = OptionsOf<typeof RECIPE_OPTIONS>["split"];

/** How records and rows are turned into text. */
export interface RowOptions {
  /**
   * The field of JSONL records and the column of tables that hold the text: a name, several names separated by commas,
   * or a template such as `{title}: {text}`.
   */
  readonly field: string;
  /** The field separator of tables. Default: a comma in CSV and a tab in TSV. */
  readonly separator?: string;
  /** Whether the first row of a table names its columns. Default: true. */
  readonly header?: boolean;
  /** Whether malformed records and rows are skipped. Default: false. */
  readonly skipBadRows?: boolean;
}

/** A run's text as a recipe. */
export interface DataRecipe extends RowOptions, OptionsOf<typeof RECIPE_OPTIONS> {
  /** What `--data` said, one entry each. */
  readonly sources: readonly string[];
  /** The name of the vocabulary. */
  readonly vocabulary: string;
}

/** The default recipe of a source. */
export const DEFAULT_RECIPE: DataRecipe = {
  ...defaultsOf(RECIPE_OPTIONS),
  sources: ["sotu"],
  field: "text",
  vocabulary: "bytes",
};

/** The row options of a recipe or of flags, without defaults. */
export function rowOptions({ field, separator, header, skipBadRows }: RowOptions): RowOptions {
  return {
    field,
    ...separator === undefined ? {} : { separator },
    ...header === false ? { header } : {},
    ...skipBadRows === true ? { skipBadRows } : {},
  };
}

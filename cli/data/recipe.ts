/**
 * How a run's text is made: what its config.json keeps, so that the run goes on with the same tokens in the same order.
 */

/** Formats of files. */
export const FORMATS = ["auto", "text", "jsonl", "csv", "tsv", "parquet"] as const;
/** A format of files; `auto` goes by the end of a file's name, and by its first bytes. */
export type Format = typeof FORMATS[number];

/** Which part of a text is held out: its `end`, or `scattered` pieces that the seed chooses. */
export type Split = "end" | "scattered";

/** How records and rows become texts. */
export interface RowOptions {
  /**
   * The field of JSONL records and the column of tables that hold the text: a name, several with commas between, or a
   * template such as `{title}: {text}`.
   */
  readonly field: string;
  /** What stands between the fields of a table: a comma in CSV and a tab in TSV unless given. */
  readonly separator?: string;
  /** Whether the first row of a table names its columns; true unless given. */
  readonly header?: boolean;
  /** Whether records and rows that cannot be understood are left out; false unless given. */
  readonly skipBadRows?: boolean;
}

/** A run's text as a recipe. */
export interface DataRecipe extends RowOptions {
  /** What `--data` said, one entry each. */
  readonly sources: readonly string[];
  readonly format: Format;
  /** The name of the vocabulary. */
  readonly vocabulary: string;
  /** Share of each text that is not learned from. */
  readonly heldOut: number;
  readonly split: Split;
}

/** The recipe of a text of which nothing but the source is said. */
export const DEFAULT_RECIPE: DataRecipe = {
  sources: ["sotu"],
  format: "auto",
  field: "text",
  vocabulary: "bytes",
  heldOut: 0.05,
  split: "end",
};

/** The row options of a recipe or of flags, without those that are as they are unless given. */
export function rowOptions({ field, separator, header, skipBadRows }: RowOptions): RowOptions {
  return {
    field,
    ...separator === undefined ? {} : { separator },
    ...header === false ? { header } : {},
    ...skipBadRows === true ? { skipBadRows } : {},
  };
}

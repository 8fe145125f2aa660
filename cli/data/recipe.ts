/** How a run's text is made: what its config.json keeps, so that the run goes on with the same tokens in the same order. */

/** Formats of files. */
export const FORMATS = ["auto", "text", "jsonl", "csv", "parquet"] as const;
/** A format of files; `auto` goes by the end of a file's name. */
export type Format = typeof FORMATS[number];

/** Which part of a text is held out: its `end`, or `scattered` pieces that the seed chooses. */
export type Split = "end" | "scattered";

/** A run's text as a recipe. */
export interface DataRecipe {
  /** What `--data` said, one entry each. */
  readonly sources: readonly string[];
  readonly format: Format;
  /** The field of JSONL records and the column of tables that hold the text. */
  readonly field: string;
  /** The name of the vocabulary. */
  readonly vocabulary: string;
  /** Share of each text that is not learned from. */
  readonly heldOut: number;
  readonly split: Split;
}

/** The recipe of a text of which nothing but the source is said. */
export const DEFAULT_RECIPE: DataRecipe = { sources: ["sotu"], format: "auto", field: "text", vocabulary: "bytes", heldOut: 0.05, split: "end" };

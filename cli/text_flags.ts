/** The flags of every command that reads files: what they are, and which of their fields are text. */
import { defaultsOf } from "../titans/options/option_table.ts";
import { parseSeparator } from "./data/csv.ts";
import { parseField } from "./data/field.ts";
import { DEFAULT_RECIPE, RECIPE_OPTIONS, type RowOptions } from "./data/recipe.ts";
import { type Flag, text, toggle, type Values } from "./flags.ts";
import { flagsOf } from "./table_flags.ts";

/** A text flag whose value is checked when it is parsed. */
function checked(flag: Flag<string>, check: (text: string) => unknown): Flag<string> {
  return { ...flag, read: (value) => (check(value), value) };
}

const { format: FORMAT, ...HELD_OUT } = flagsOf(RECIPE_OPTIONS, { fallback: defaultsOf(RECIPE_OPTIONS) });

/** What is held out of a text that is learned from. */
export const HELD_OUT_FLAGS = HELD_OUT;

/** The flags. */
export const TEXT_FLAGS = {
  format: FORMAT,
  field: checked(
    text(
      "NAME",
      "field of `.jsonl` records or column of tables with the text; several as `a,b` or `{title}: {text}`",
      DEFAULT_RECIPE.field,
    ),
    parseField,
  ),
  separator: {
    ...text("C", "field separator of tables; write `tab` for a tab"),
    unless: "a comma in .csv, a tab in .tsv",
    read: parseSeparator,
  },
  noHeader: toggle("the first row of a table is data; columns are numbered, `--field 2` is the second"),
  skipBadRows: toggle("skip malformed records and rows, and report how many"),
} as const;

/** How records and rows are turned into text, from the flags. */
export function rowOptionsOf({ field, separator, noHeader, skipBadRows }: Values<typeof TEXT_FLAGS>): RowOptions {
  return {
    field,
    ...separator === undefined ? {} : { separator },
    ...noHeader ? { header: false } : {},
    ...skipBadRows ? { skipBadRows } : {},
  };
}

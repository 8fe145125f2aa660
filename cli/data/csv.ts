/** Reads tables with a field separator, whose first row names the columns (RFC 4180). */
import { UsageError } from "../errors.ts";
import { CsvParser, type CsvRow } from "../../titans/text/csv_parser.ts";
import { type FieldTemplate, parseField } from "./field.ts";
import { shortName } from "./jsonl.ts";
import { decodeUtf8 } from "./lines.ts";
import { RowTally } from "./rows.ts";

/** The format of a table. */
export interface TableOptions {
  /** The field separator: one ASCII character. Default: a comma. */
  readonly separator?: string;
  /** Whether the first row names the columns; otherwise they are named by their numbers, from 1. Default: true. */
  readonly header?: boolean;
  /** Counts the rows, and decides whether bad ones are skipped. */
  readonly tally?: RowTally;
}

/**
 * Parses `--separator`: one ASCII character other than line breaks and quotes; `tab` and `\t` mean a tab.
 * @throws {UsageError} otherwise.
 */
export function parseSeparator(text: string): string {
  const separator = text === "tab" || text === "\\t" ? "\t" : text;
  if (/^[\t -~]$/.test(separator) && separator !== '"') return separator;
  throw new UsageError(`--separator cannot be ${JSON.stringify(text)}: it is one character such as ; or |, or tab`);
}

/**
 * The texts of columns. Empty lines are skipped.
 * @param bytes The file.
 * @param path The path, for error messages.
 * @param field The columns that make the text: see {@link parseField}.
 * @throws {UsageError} if there is no such column or the file is malformed, naming the line.
 */
export async function* readCsv(
  bytes: AsyncIterable<Uint8Array>,
  path: string,
  field: string,
  options: TableOptions = {},
): AsyncGenerator<string> {
  const { separator = ",", header = true, tally = new RowTally() } = options;
  const parser = new CsvParser(separator.charCodeAt(0), path), template = parseField(field);
  let columns: Columns | undefined;
  const textsOf = function* (rows: Iterable<CsvRow>): Generator<string> {
    for (const row of rows) {
      if (!columns) {
        columns = columnsOf(row, { path, template, header, separator });
        if (header) continue;
      }
      tally.rows++;
      const text = textOf(row, columns, { path, template, tally });
      if (text !== undefined) yield text;
    }
  };
  for await (const piece of bytes) yield* textsOf(parser.next(piece));
  yield* textsOf(parser.end());
}

interface Columns {
  readonly count: number;
  /** The columns of the template's names. */
  readonly wanted: readonly number[];
}

interface Table {
  readonly path: string;
  readonly template: FieldTemplate;
  readonly header: boolean;
  readonly separator: string;
}

function columnsOf(row: CsvRow, { path, template, header, separator }: Table): Columns {
  if (row.fault !== undefined) throw new UsageError(`${path} is not valid CSV: line ${row.line} ${row.fault}`);
  const names = row.fields.map((field, i) => header ? decodeUtf8(field) : String(i + 1));
  if (names.includes(undefined)) {
    throw new UsageError(
      `${path} line ${row.line} is not valid UTF-8: convert the file, from Latin-1 with iconv -f LATIN1 -t UTF-8`,
    );
  }
  // A table with one column needs no choice.
  if (!header && names.length === 1 && String(template.names) === "text") return { count: 1, wanted: [0] };
  const wanted = template.names.map((name) => {
    const index = names.indexOf(name);
    if (index >= 0) return index;
    const there = names.slice(0, 20).map((name) => shortName(name!)).join(", ");
    if (!header) {
      throw new UsageError(
        `${path} has no column ${name}: columns without a header are numbered, choose one with --field (there are ${there})`,
      );
    }
    const other = names.length === 1 &&
      [";", "\t", "|", ","].find((letter) => letter !== separator && names[0]!.includes(letter));
    const hint = other
      ? `; if its fields have another separator, give it with --separator ${other === "\t" ? "tab" : `"${other}"`}`
      : "";
    throw new UsageError(
      `${path} has no column ${name}: choose the text column with --field NAME (there are ${there})${hint}`,
    );
  });
  return { count: names.length, wanted };
}

function textOf(
  row: CsvRow,
  { count, wanted }: Columns,
  { path, template, tally }: Pick<Table, "path" | "template"> & { tally: RowTally },
): string | undefined {
  if (row.fault !== undefined) tally.bad(`${path} is not valid CSV: line ${row.line} ${row.fault}`);
  else if (row.fields.length !== count) {
    const first = `its first row has ${count}`;
    tally.bad(
      `${path} line ${row.line} has ${row.fields.length} fields and ${first}: quote fields that contain separators, or give the separator with --separator`,
    );
  } else {
    const values = wanted.map((index) => decodeUtf8(row.fields[index]));
    if (!values.includes(undefined)) return template.fill(values);
    tally.bad(
      `${path} line ${row.line} is not valid UTF-8: convert the file, from Latin-1 with iconv -f LATIN1 -t UTF-8`,
    );
  }
  return undefined;
}

/** Tables of numbers and time stamps: a CSV file, column by column. */
import { ConfigError } from "../../errors.ts";
import { CsvParser, type CsvRow } from "../../text/csv_parser.ts";
import type { TaskFile } from "../task.ts";

/** A column of a table. */
export interface TableColumn {
  /** Its name. */
  readonly name: string;
  /** Numbers, NaN where they are missing; undefined if the column is one of texts. */
  readonly numbers?: Float64Array;
  /** Texts, of columns that do not begin with a number. */
  readonly texts?: readonly string[];
  /** The first field of a column of numbers that is none, with its line. */
  readonly fault?: { readonly line: number; readonly text: string };
}

/** A table. */
export interface Table {
  /** The file's name, for messages. */
  readonly name: string;
  /** In their order. */
  readonly columns: readonly TableColumn[];
  /** The line of each row, from 1. */
  readonly lines: readonly number[];
}

/** How an absent value may be written, in lower case. */
const MISSING = new Set(["", "na", "n/a", "nan", "null", "none", "nil", "-", "?", "."]);

const SEPARATORS = [",", ";", "\t", "|"];

/**
 * Reads a CSV file. The separator is the one of comma, semicolon, tab and bar that the first line has most of; where no
 * field of the first row is a number or a time, it names the columns, else they are `column1`, `column2`, ...
 * Decimals may have a comma where that is not the separator.
 * @throws {ConfigError} naming the line, if the file is no table.
 */
export function readTable({ name, bytes }: TaskFile): Table {
  const separator = separatorOf(bytes), parser = new CsvParser(separator.charCodeAt(0), name);
  const lines: number[] = [];
  let columns: ColumnReader[] | undefined;
  for (const rows of [parser.next(bytes), parser.end()]) {
    for (const row of rows) {
      const fields = fieldsOf(row, { name, count: columns?.length });
      if (columns === undefined) {
        const isHeader = fields.some((field) => !isValue(field)) && !fields.some((field) => isFilled(field));
        const names = fields.map((field, i) => isHeader && field !== "" ? field : `column${i + 1}`);
        checkUnique(names, name);
        columns = names.map((name) => new ColumnReader(name, separator !== ","));
        if (isHeader) continue;
      }
      lines.push(row.line);
      columns.forEach((column, i) => column.add(fields[i], row.line));
    }
  }
  if (lines.length === 0) throw new ConfigError(`Cannot read ${name}: it has no rows below its first line`, "data");
  return { name, columns: columns!.map((column) => column.finish()), lines };
}

/** Whether a field of the first row is a number or a time stamp, which names of columns are not. */
function isFilled(field: string): boolean {
  return !MISSING.has(field.toLowerCase()) && isValue(field);
}

function isValue(field: string): boolean {
  return numberOf(field, true) !== undefined || /^\d{1,4}[-/.]\d{1,2}([-/.]\d{1,4})?([T ,]|$)/.test(field);
}

function separatorOf(bytes: Uint8Array): string {
  const end = bytes.findIndex((byte) => byte === 10 || byte === 13);
  const line = new TextDecoder().decode(bytes.subarray(0, Math.min(end < 0 ? bytes.length : end, 2 ** 20)));
  const bare = line.replace(/"[^"]*"/g, ""), count = (separator: string): number => bare.split(separator).length;
  return SEPARATORS.reduce((best, separator) => count(separator) > count(best) ? separator : best);
}

const UTF8 = new TextDecoder("utf-8", { fatal: true });

function fieldsOf(
  { line, fields, fault }: CsvRow,
  { name, count }: { readonly name: string; readonly count?: number },
): string[] {
  if (fault !== undefined) throw new ConfigError(`Cannot read ${name} as CSV: line ${line} ${fault}`, "data");
  if (count !== undefined && fields.length !== count) {
    throw new ConfigError(
      `Cannot read ${name} as CSV: line ${line} has ${fields.length} fields, the first row has ${count}`,
      "data",
    );
  }
  try {
    return fields.map((field) => UTF8.decode(field).trim());
  } catch {
    throw new ConfigError(
      `Cannot read ${name}: line ${line} is not valid UTF-8; convert the file, from Latin-1 with iconv -f LATIN1 -t UTF-8`,
      "data",
    );
  }
}

function checkUnique(names: readonly string[], file: string): void {
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice === undefined) return;
  throw new ConfigError(`Cannot read ${file}: two of its columns are called ${JSON.stringify(twice)}`, "data");
}

/** The number that a text is, NaN for one that says that none is there; undefined if it is neither. */
function numberOf(text: string, decimalComma: boolean): number | undefined {
  if (MISSING.has(text.toLowerCase())) return NaN;
  const plain = decimalComma && /^[+-]?\d+,\d+$/.test(text) ? text.replace(",", ".") : text;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain) ? Number(plain) : undefined;
}

/** Collects a column: of numbers, unless its first value is none. */
class ColumnReader {
  #numbers: Float64Array | undefined = new Float64Array(1024);
  #texts: string[] | undefined;
  #fault: TableColumn["fault"];
  #count = 0;
  #isOpen = true;

  constructor(readonly name: string, readonly decimalComma: boolean) {}

  add(text: string, line: number): void {
    const at = this.#count++, value = this.#numbers && numberOf(text, this.decimalComma);
    if (this.#numbers && this.#isOpen && value === undefined) {
      this.#texts = Array.from({ length: at }, () => "");
      this.#numbers = undefined;
    }
    if (!this.#numbers) return void this.#texts!.push(text);
    if (value === undefined) this.#fault ??= { line, text };
    if (value === undefined || !Number.isNaN(value)) this.#isOpen = false;
    if (at === this.#numbers.length) {
      const larger = new Float64Array(2 * at);
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#numbers[at] = value ?? NaN;
  }

  finish(): TableColumn {
    const { name } = this;
    if (!this.#numbers) return { name, texts: this.#texts! };
    return {
      name,
      numbers: this.#numbers.slice(0, this.#count),
      ...(this.#fault === undefined ? {} : { fault: this.#fault }),
    };
  }
}

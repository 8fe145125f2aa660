/** Records of data files: JSON lines, JSON arrays, and tables of commas or tabs with a header. */
import { ConfigError } from "../errors.ts";
import type { TaskFile } from "./task.ts";

/** A record with where it stands, for messages. */
export class DataRecord {
  /**
   * @param fields Its fields by name.
   * @param place Where it stands, such as `line 3 of dev.jsonl`.
   */
  constructor(readonly fields: Readonly<Record<string, unknown>>, readonly place: string) {}

  /** Whether it has a field. */
  has(name: string): boolean {
    return Object.hasOwn(this.fields, name) && this.fields[name] !== null;
  }

  /** A field that is a text with something in it. */
  text(name: string): string {
    const value = this.fields[name];
    return typeof value === "string" && value.trim() !== "" ? value : this.refuse(`its ${name} must be a text`);
  }

  /** A field that is a list of texts with something in them. */
  texts(name: string): readonly string[] {
    const value = this.fields[name];
    if (Array.isArray(value) && value.every((one) => typeof one === "string" && one.trim() !== "")) return value;
    return this.refuse(`its ${name} must be a list of texts`);
  }

  /** A field that is a number, or a text that is one: from 0 to `count` - 1 after `first` is subtracted. */
  index(name: string, count: number, first = 0): number {
    const value = this.fields[name], number = typeof value === "string" && value.trim() === "" ? NaN : Number(value);
    const index = number - first;
    if (Number.isInteger(index) && index >= 0 && index < count) return index;
    return this.refuse(`its ${name} must be from ${first} to ${first + count - 1}, it is ${JSON.stringify(value)}`);
  }

  /** A field that is a record. */
  record(name: string): DataRecord {
    const value = this.fields[name];
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return this.refuse(`its ${name} must be a record`);
    }
    return new DataRecord(value as Record<string, unknown>, this.place);
  }

  /** A field that is a list of records. */
  records(name: string): readonly DataRecord[] {
    const value = this.fields[name];
    if (!Array.isArray(value)) return this.refuse(`its ${name} must be a list`);
    return value.map((one) => new DataRecord({ one }, this.place).record("one"));
  }

  /** @throws {ConfigError} saying where and what is wrong. */
  refuse(reason: string): never {
    throw new ConfigError(`Cannot use ${this.place}: ${reason}`, "data");
  }
}

/** The extensions of files that have records. */
export const RECORD_FILES: readonly string[] = ["jsonl", "json", "csv", "tsv", "txt"];

/**
 * The records of a file, by its extension; of a text file each line, as the field `text`.
 * @throws {ConfigError} naming the line that cannot be read.
 */
export function recordsOf({ name, bytes }: TaskFile): readonly DataRecord[] {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ConfigError(`Cannot use ${name}: it is no text in UTF-8`, "data");
  }
  const extension = name.split(".").at(-1)!.toLowerCase();
  if (extension === "csv" || extension === "tsv") return table(text, name, extension === "csv" ? "," : "\t");
  if (extension === "json" && text.trimStart().startsWith("[")) {
    const list = new DataRecord({ list: parsed(text, name) }, name).records("list");
    return list.map(({ fields }, i) => new DataRecord(fields, `record ${i + 1} of ${name}`));
  }
  const lines = text.split(/\r?\n/).map((line, i) => ({ line, place: `line ${i + 1} of ${name}` })).filter(({ line }) =>
    line.trim() !== ""
  );
  if (extension === "txt") return lines.map(({ line, place }) => new DataRecord({ text: line }, place));
  return lines.map(({ line, place }) => new DataRecord({ line: parsed(line, place) }, place).record("line"));
}

function parsed(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ConfigError(`Cannot use ${place}: it is not valid JSON`, "data");
  }
}

/** The rows of a table (RFC 4180): fields may be quoted, and then hold separators, doubled quotes and line ends. */
function table(text: string, name: string, separator: string): readonly DataRecord[] {
  const rows: string[][] = [[]];
  const field = separator === ","
    ? /("(?:[^"]|"")*"|[^",\r\n]*)(,|\r?\n|$)/y
    : /("(?:[^"]|"")*"|[^"\t\r\n]*)(\t|\r?\n|$)/y;
  while (field.lastIndex < text.length) {
    const match = field.exec(text);
    if (match === null) {
      throw new ConfigError(`Cannot use row ${rows.length} of ${name}: a quote is not closed`, "data");
    }
    const [, value, end] = match;
    rows.at(-1)!.push(value.startsWith('"') ? value.slice(1, -1).replaceAll('""', '"') : value);
    if (end !== separator && field.lastIndex < text.length) rows.push([]);
  }
  const [header, ...others] = rows;
  return others.map((row, i) => {
    const place = `row ${i + 2} of ${name}`;
    if (row.length !== header.length) {
      throw new ConfigError(
        `Cannot use ${place}: it has ${row.length} fields, the header has ${header.length}`,
        "data",
      );
    }
    return new DataRecord(Object.fromEntries(header.map((column, c) => [column, row[c]])), place);
  });
}

/** Samples with labels as tables, records and lines have them, before it is known what they consist of. */
import { ConfigError, type Split, type TaskFile } from "../../titans/mod.ts";
import { type DataRecord, recordsOf } from "../../titans/tasks/records.ts";

/** A sample as a file has it. */
export interface RawSample {
  /** What it is called. */
  readonly id: string;
  /** Where it stands, for messages. */
  readonly place: string;
  readonly bytes: Uint8Array;
  /** The name of its class; empty where it has none. */
  readonly label: string;
  readonly split?: Split;
}

/** How columns are named, and whether there must be labels. */
export interface ColumnOptions {
  readonly text?: string;
  readonly label?: string;
  readonly isLabelled?: boolean;
}

/** The words for parts. */
export const SPLITS: Readonly<Record<string, Split>> = {
  train: "train",
  valid: "validation",
  validation: "validation",
  val: "validation",
  dev: "validation",
  test: "test",
};

const TEXT_COLUMNS =
  "sequence seq dna text sentence content review comment message body tweet headline question document"
    .split(" ");
const LABEL_COLUMNS = "label labels class target y category sentiment intent topic".split(" ");
/** What fastText writes before a label. */
const MARK = "__label__";

const encoder = new TextEncoder();

/** The rows or records of a file. A column `split` says the part of each, where the name of the file does not. */
export function tableSamples(
  file: TaskFile,
  { text, label, isLabelled = true }: ColumnOptions,
  split?: Split,
): RawSample[] {
  const records = recordsOf(file), [first] = records;
  if (first === undefined) throw new ConfigError(`Cannot use ${file.name}: it has no rows below its header`, "data");
  const there = Object.keys(first.fields);
  const named = {
    text: text ?? guessed(there, TEXT_COLUMNS),
    label: label ?? guessed(there, LABEL_COLUMNS),
  };
  // Of two columns one is known by the other.
  const other = (known: string | undefined): string | undefined =>
    known !== undefined && there.length === 2 ? there.find((name) => name !== known) : undefined;
  const columns = {
    text: columnOf(file.name, first, { name: named.text ?? other(named.label), of: "texts", flag: "--text" }),
    label: isLabelled || label !== undefined
      ? columnOf(file.name, first, { name: named.label ?? other(named.text), of: "classes", flag: "--label" })
      : named.label,
  };
  if (columns.text === columns.label) {
    throw new ConfigError(`Cannot use ${file.name}: the column ${columns.text} is of texts and of classes`, "data");
  }
  const id = guessed(there, ["id"]);
  return records.map((record): RawSample => {
    const own = split ?? splitOf(record);
    return {
      id: id === undefined ? record.place : String(record.fields[id]),
      place: record.place,
      bytes: encoder.encode(textOf(record, columns.text)),
      label: columns.label === undefined ? "" : labelOf(record, columns.label),
      ...(own === undefined ? {} : { split: own }),
    };
  });
}

/** Whether a text is one of lines that begin with labels, as fastText has them. */
export function isFastText(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(0, 1024)).trimStart().startsWith(MARK);
}

/** Samples that are lines: JSON records, `__label__CLASS text`, or texts without classes. Blank lines are none. */
export function lineSamples(file: TaskFile, options: ColumnOptions): RawSample[] {
  const text = new TextDecoder().decode(file.bytes);
  if (text.trim() === "") throw new ConfigError(`Cannot use ${file.name}: it has no lines with text`, "data");
  if (text.trimStart().startsWith("{")) {
    return tableSamples({ ...file, name: file.name.replace(/\.txt$/, "") }, options);
  }
  const isMarked = isFastText(file.bytes), { isLabelled = true } = options;
  if (!isMarked && isLabelled) {
    throw new ConfigError(
      `Cannot use ${file.name}: its lines have no classes; begin each with ${MARK}CLASS, or give a table or a folder for each class`,
      "data",
    );
  }
  return text.split(/\r?\n/).flatMap((line, i) => {
    if (line.trim() === "") return [];
    const place = `line ${i + 1} of ${file.name}`,
      { label, rest } = isMarked ? markedLine(line, place) : { label: "", rest: line };
    return [{ id: `line ${i + 1}`, place, bytes: encoder.encode(rest), label }];
  });
}

/** A line with a label before its text. */
function markedLine(line: string, place: string): { readonly label: string; readonly rest: string } {
  const words = line.trim().split(/\s+/), labels = words.filter((word) => word.startsWith(MARK));
  const label = words[0].slice(MARK.length);
  if (labels.length !== 1 || labels[0] !== words[0] || label === "") {
    throw new ConfigError(
      `Cannot use ${place}: it has ${labels.length} labels, it must begin with one, such as ${MARK}CLASS`,
      "data",
    );
  }
  return { label, rest: line.trim().slice(words[0].length).trim() };
}

function columnOf(
  file: string,
  record: DataRecord,
  { name, of, flag }: { readonly name: string | undefined; readonly of: string; readonly flag: string },
): string {
  if (name !== undefined && Object.hasOwn(record.fields, name)) return name;
  const there = Object.keys(record.fields).join(", "), what = name === undefined ? `of ${of} by its name` : name;
  throw new ConfigError(
    `Cannot use ${file}: it has no column ${what}, there are ${there}; name it with ${flag}`,
    "data",
  );
}

/** The first of some names that there is, in any case of letters. */
function guessed(there: readonly string[], names: readonly string[]): string | undefined {
  const plain = there.map((name) => name.trim().toLowerCase()), found = names.find((name) => plain.includes(name));
  return found === undefined ? undefined : there[plain.indexOf(found)];
}

function textOf(record: DataRecord, column: string): string {
  const value = record.fields[column];
  if (typeof value !== "string") return record.refuse(`its ${column} must be a text, it is ${JSON.stringify(value)}`);
  return value.trim() === "" ? record.refuse(`its ${column} is empty; leave it out`) : value;
}

/** A label that is a text, a whole number or a truth value. */
function labelOf(record: DataRecord, column: string): string {
  const value = record.fields[column];
  if (typeof value === "boolean" || Number.isSafeInteger(value)) return String(value);
  if (typeof value !== "string") {
    return record.refuse(`its ${column} must be a word or a whole number, it is ${JSON.stringify(value)}`);
  }
  return value.trim() === "" ? record.refuse(`its ${column} is empty; leave it out`) : value.trim();
}

function splitOf(record: DataRecord): Split | undefined {
  if (!record.has("split")) return undefined;
  const name = record.text("split").trim().toLowerCase();
  if (Object.hasOwn(SPLITS, name)) return SPLITS[name];
  return record.refuse(`its split is ${JSON.stringify(name)}, it must be one of ${Object.keys(SPLITS).join(", ")}`);
}

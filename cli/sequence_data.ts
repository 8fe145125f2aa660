/**
 * Sequences with classes, as people have them: folders, tables, and a file per class.
 *
 *     train/CLASS/*.txt, test/CLASS/*.txt      one sequence a file, as GenomicsBenchmarks has them
 *     train/CLASS.fa, or CLASS.fa alone        a sequence a record; FASTA or FASTQ, also in folders of a class
 *     train.csv, dev.csv, test.csv, or one     columns of sequences and labels, perhaps `id`, also with tabs
 *
 * Everything may be gzipped. A part of the path that is called train, dev, validation or test says the split.
 */
import { ConfigError, type Split, type TaskFile } from "../titans/mod.ts";
import { type DataRecord, recordsOf } from "../titans/tasks/records.ts";
import type { LabelledSequence } from "../titans/tasks/dna/labelled.ts";
import { BLANK, NO_NUCLEOTIDE, shownByte, TOKEN_OF_BYTE } from "../titans/tasks/dna/nucleotides.ts";
import { SequenceReader, SequenceRecords } from "../titans/tasks/dna/sequence_reader.ts";
import { filesBelow } from "./data/input_files.ts";
import { CommandError } from "./errors.ts";
import { dataError, nameBelow, piecesOf, wholeFile } from "./task_files.ts";

/** What else is said of the data. */
export interface SequenceDataOptions {
  /** Of tables, the column of sequences. Default: `sequence`, `seq` or `dna`. */
  readonly sequence?: string;
  /** Of tables, the column of labels. Default: `label`, `class`, `target` or `y`. */
  readonly label?: string;
  /** Nucleotides of FASTQ of a lower quality are read as N. */
  readonly minQuality: number;
  /** Whether tables must have a column of labels; the labels of one without are empty. Default: they must. */
  readonly isLabelled?: boolean;
}

const SPLITS: Readonly<Record<string, Split>> = {
  train: "train",
  valid: "validation",
  validation: "validation",
  val: "validation",
  dev: "validation",
  test: "test",
};
const SEQUENCE_COLUMNS = ["sequence", "seq", "dna"], LABEL_COLUMNS = ["label", "class", "target", "y"];
const SEQUENCE_FILES = ["fa", "fasta", "fna", "ffn", "fq", "fastq"], TABLES = ["csv", "tsv"];
const KNOWN_FILES = [...SEQUENCE_FILES, ...TABLES, "txt"];

/**
 * Reads all of it, in the order of the names of files.
 * @param remark Receives notes about skipped files.
 * @throws {UsageError | CommandError | ConfigError} naming the file, and the line, that cannot be used.
 */
export async function readSequenceData(
  path: string,
  options: SequenceDataOptions,
  remark: (line: string) => void = () => {},
): Promise<LabelledSequence[]> {
  const sequences: LabelledSequence[] = [];
  try {
    const { isDirectory } = await Deno.stat(path);
    const files = isDirectory ? await filesIn(path, remark) : [path.split(/[/\\]/).at(-1)!];
    if (files.length === 0) {
      throw new CommandError(
        `cannot use ${path} as data of classify: it has no files called .${KNOWN_FILES.join(", .")}, or these with .gz`,
      );
    }
    for (const name of files) {
      for (const one of await sequencesIn(isDirectory ? `${path}/${name}` : path, name, options)) sequences.push(one);
    }
  } catch (error) {
    throw dataError(error, path, "data of classify");
  }
  return sequences;
}

/** The names of the files that are known, from the folder on. */
async function filesIn(folder: string, remark: (line: string) => void): Promise<string[]> {
  const names = (await filesBelow(folder, remark)).map((file) => nameBelow(folder, file));
  return names.filter((name) => KNOWN_FILES.includes(extensionOf(name)));
}

/** The extension of a file, without regard to gzip. */
function extensionOf(name: string): string {
  return /\.([^.]+)$/.exec(name.replace(/\.gz$/i, ""))?.[1].toLowerCase() ?? "";
}

/** What the path of a file says: its split, and the class of its sequences. */
function placeOf(name: string): { readonly split?: Split; readonly label: string } {
  const parts = name.replace(/\.gz$/i, "").replace(/\.[^.]+$/, "").split("/");
  const stem = parts.at(-1)!, folders = parts.slice(0, -1).filter((part) => !Object.hasOwn(SPLITS, part));
  const split = parts.find((part) => Object.hasOwn(SPLITS, part));
  return { label: folders.at(-1) ?? stem, ...(split === undefined ? {} : { split: SPLITS[split] }) };
}

async function sequencesIn(
  path: string,
  name: string,
  options: SequenceDataOptions,
): Promise<readonly LabelledSequence[]> {
  const extension = extensionOf(name), place = placeOf(name);
  if (SEQUENCE_FILES.includes(extension)) {
    const sink = new SequenceRecords(), reader = new SequenceReader(name, sink, options);
    for await (const piece of await piecesOf(path)) reader.add(piece);
    reader.end();
    return sink.records.map((record) => ({ ...record, ...place }));
  }
  const bytes = await wholeFile(path);
  if (extension === "txt") return [{ id: name, tokens: tokensOf(bytes, name), ...place }];
  return tableSequences({ name: name.replace(/\.gz$/i, ""), bytes }, options, place.split);
}

/** The tokens of a text that is one sequence. */
function tokensOf(bytes: Uint8Array, place: string): Uint8Array {
  const tokens = new Uint8Array(bytes.length);
  let count = 0;
  for (const byte of bytes) {
    const token = TOKEN_OF_BYTE[byte];
    if (token === BLANK || byte === 10 || byte === 13) continue;
    if (token === NO_NUCLEOTIDE) {
      throw new ConfigError(`Cannot use ${place}: ${shownByte(byte)} is no nucleotide`, "data");
    }
    tokens[count++] = token;
  }
  if (count === 0) throw new ConfigError(`Cannot use ${place}: it has no sequence`, "data");
  return tokens.slice(0, count);
}

/** The rows of a table. A column `split` says the part of each, where the name of the file does not. */
function tableSequences(
  file: TaskFile,
  { sequence, label, isLabelled = true }: SequenceDataOptions,
  split: Split | undefined,
): LabelledSequence[] {
  const records = recordsOf(file), encoder = new TextEncoder();
  if (records.length === 0) throw new ConfigError(`Cannot use ${file.name}: it has no rows below its header`, "data");
  const columns = {
    sequence: columnOf(
      file.name,
      records[0],
      sequence === undefined ? SEQUENCE_COLUMNS : [sequence],
      "--sequence-column",
    ),
    label: isLabelled || label !== undefined
      ? columnOf(file.name, records[0], label === undefined ? LABEL_COLUMNS : [label], "--label-column")
      : findColumn(records[0], LABEL_COLUMNS),
  };
  const id = findColumn(records[0], ["id"]);
  return records.map((record): LabelledSequence => {
    const own = split ?? splitOf(record);
    return {
      id: id === undefined ? record.place : record.text(id),
      tokens: tokensOf(encoder.encode(record.text(columns.sequence)), record.place),
      label: columns.label === undefined ? "" : record.text(columns.label).trim(),
      ...(own === undefined ? {} : { split: own }),
    };
  });
}

function columnOf(file: string, record: DataRecord, names: readonly string[], flag: string): string {
  const found = findColumn(record, names), there = Object.keys(record.fields);
  if (found !== undefined) return found;
  throw new ConfigError(
    `Cannot use ${file}: it has no column ${names.join(" or ")}, there are ${there.join(", ")}; name it with ${flag}`,
    "data",
  );
}

function findColumn({ fields }: DataRecord, names: readonly string[]): string | undefined {
  const there = Object.keys(fields);
  return there.find((name) => names.includes(name.trim().toLowerCase())) ?? there.find((name) => names.includes(name));
}

function splitOf(record: DataRecord): Split | undefined {
  if (!record.has("split")) return undefined;
  const name = record.text("split").trim().toLowerCase();
  if (Object.hasOwn(SPLITS, name)) return SPLITS[name];
  return record.refuse(`its split is ${JSON.stringify(name)}, it must be one of ${Object.keys(SPLITS).join(", ")}`);
}

/**
 * Samples with classes, as people have them: folders, tables, records, and a file per class.
 *
 *     train/CLASS/*.txt, test/CLASS/*.txt      one sample a file, as GenomicsBenchmarks and scikit-learn have them
 *     train/CLASS.fa, or CLASS.fa alone        a sequence a record; FASTA or FASTQ, also in folders of a class
 *     train.csv, dev.csv, test.csv, or one     columns of samples and labels, perhaps `id` and `split`; also .tsv,
 *                                              .jsonl and .json
 *     train.txt, test.txt                      lines `__label__CLASS text`, as fastText has them
 *
 * Everything may be gzipped. A part of the path that is called train, dev, validation or test says the split. Samples
 * are read as bytes first: what they look like says their alphabet.
 */
import type { Split, TaskFile } from "../../titans/mod.ts";
import { type Alphabet, alphabetOf } from "../../titans/tasks/classification/alphabet.ts";
import type { LabelledSequence, LabelledSet } from "../../titans/tasks/classification/labelled.ts";
import { NUCLEOTIDE_ALPHABET } from "../../titans/tasks/dna/nucleotide_alphabet.ts";
import { SequenceReader, SequenceRecords } from "../../titans/tasks/dna/sequence_reader.ts";
import { BYTE_ALPHABET } from "../../titans/tasks/text/byte_alphabet.ts";
import { filesBelow } from "../data/input_files.ts";
import { sha256Hex } from "../data/sha256.ts";
import { CommandError, UsageError } from "../errors.ts";
import { dataError, nameBelow, piecesOf, wholeFile } from "../task_files.ts";
import { isFastText, lineSamples, type RawSample, SPLITS, tableSamples } from "./raw_samples.ts";

/** What else is said of the data. */
export interface LabelledDataOptions {
  /** Of tables, the column of samples. Default: the first that is called as such columns are. */
  readonly text?: string;
  /** Of tables, the column of labels. Default: the first that is called as such columns are. */
  readonly label?: string;
  /** The name of what samples consist of. Default: what they look like. */
  readonly alphabet?: string;
  /** Nucleotides of FASTQ of a lower quality are read as N. */
  readonly minQuality: number;
  /** Whether samples must have labels; those without have empty ones. Default: they must. */
  readonly isLabelled?: boolean;
}

const SEQUENCE_FILES = ["fa", "fasta", "fna", "ffn", "fq", "fastq"], TABLES = ["csv", "tsv", "jsonl", "json"];
const KNOWN_FILES = [...SEQUENCE_FILES, ...TABLES, "txt"];

/** A file of samples. */
interface SampleFile {
  readonly path: string;
  /** From the folder that was given on. */
  readonly name: string;
  readonly extension: string;
  /** What its path says of its samples. */
  readonly split?: Split;
  readonly label: string;
}

/**
 * Reads all of it, in the order of the names of files.
 * @param path A file or folder, or `-` for standard input, where the alphabet must be given.
 * @param remark Receives notes about skipped files.
 * @throws {UsageError | CommandError | ConfigError} naming the file, and the line, that cannot be used.
 */
export async function readLabelledData(
  path: string,
  options: LabelledDataOptions,
  remark: (line: string) => void = () => {},
): Promise<LabelledSet> {
  const asked = options.alphabet === undefined ? undefined : alphabetOf(options.alphabet);
  try {
    const isFolder = path !== "-" && (await Deno.stat(path)).isDirectory;
    const files = path === "-" ? [standardInput(asked!)] : isFolder ? await filesIn(path, remark) : [fileAt(path)];
    if (files.length === 0) {
      throw new CommandError(
        `cannot use ${path} as data of classify: it has no files called .${KNOWN_FILES.join(", .")}, or these with .gz`,
      );
    }
    const records = files.filter(({ extension }) => SEQUENCE_FILES.includes(extension));
    if (records.length > 0 && asked !== undefined && asked !== NUCLEOTIDE_ALPHABET) {
      throw new UsageError(`${records[0].name} has nucleotides: it cannot be read as ${asked.name}`);
    }
    const raw: (RawSample | LabelledSequence)[] = [];
    for (const file of files) {
      // Lines of nucleotides are one sequence.
      const isWhole = isFolder || asked === NUCLEOTIDE_ALPHABET;
      const found = records.includes(file) ? await sequencesIn(file, options) : await samplesIn(file, isWhole, options);
      for (const one of found) raw.push(one);
    }
    const alphabet = asked ?? (records.length > 0 ? NUCLEOTIDE_ALPHABET : alphabetFor(raw as readonly RawSample[]));
    return { alphabet, sequences: raw.map((one) => "tokens" in one ? one : sequenceOf(one, alphabet)) };
  } catch (error) {
    throw dataError(error, path, "data of classify");
  }
}

/** A hash of all samples, of their order, names, classes and parts. */
export async function identityOf({ alphabet, sequences }: LabelledSet): Promise<string> {
  const facts = sequences.map(({ id, label, split, tokens }) => [id, label, split ?? "", tokens.length]);
  const head = new TextEncoder().encode(JSON.stringify([alphabet.name, facts]));
  return sha256Hex(await new Blob([head, ...sequences.map(({ tokens }) => tokens as BlobPart)]).bytes());
}

/** The files that are known. */
async function filesIn(folder: string, remark: (line: string) => void): Promise<SampleFile[]> {
  const files = (await filesBelow(folder, remark)).map((path) => ({ path, ...factsOf(nameBelow(folder, path)) }));
  return files.filter(({ extension }) => KNOWN_FILES.includes(extension));
}

function fileAt(path: string): SampleFile {
  return { path, ...factsOf(path.split(/[/\\]/).at(-1)!) };
}

/** Standard input: records of nucleotides, or lines of text. */
function standardInput(alphabet: Alphabet): SampleFile {
  const extension = alphabet === NUCLEOTIDE_ALPHABET ? "fa" : "txt";
  return { path: "-", name: "standard input", extension, label: "" };
}

/** What the name of a file says: its split, and the class of its samples. */
function factsOf(name: string): Omit<SampleFile, "path"> {
  const plain = name.replace(/\.gz$/i, ""), parts = plain.replace(/\.[^.]+$/, "").split("/"), stem = parts.at(-1)!;
  const folders = parts.slice(0, -1).filter((part) => !Object.hasOwn(SPLITS, part));
  const split = parts.find((part) => Object.hasOwn(SPLITS, part));
  return {
    name,
    extension: /\.([^.]+)$/.exec(plain)?.[1].toLowerCase() ?? "",
    label: folders.at(-1) ?? stem,
    ...(split === undefined ? {} : { split: SPLITS[split] }),
  };
}

/** The records of FASTA and FASTQ. */
async function sequencesIn(
  { path, name, label, split }: SampleFile,
  options: LabelledDataOptions,
): Promise<readonly LabelledSequence[]> {
  const sink = new SequenceRecords(), reader = new SequenceReader(name, sink, options);
  for await (const piece of await piecesOf(path)) reader.add(piece);
  reader.end();
  return sink.records.map((record) => ({ ...record, label, ...(split === undefined ? {} : { split }) }));
}

/** The samples of a table, or of a text. @param isWhole Whether a text is one sample; else each of its lines is. */
async function samplesIn(
  { path, name, extension, label, split }: SampleFile,
  isWhole: boolean,
  options: LabelledDataOptions,
): Promise<readonly RawSample[]> {
  const file: TaskFile = { name: name.replace(/\.gz$/i, ""), bytes: await wholeFile(path) };
  if (extension !== "txt") return tableSamples(file, options, split);
  const place = split === undefined ? {} : { split };
  if (isWhole && !isFastText(file.bytes)) return [{ id: name, place: name, bytes: file.bytes, label, ...place }];
  return lineSamples(file, options).map((one) => ({ ...one, ...place }));
}

function sequenceOf({ place, bytes, ...facts }: RawSample, alphabet: Alphabet): LabelledSequence {
  return { ...facts, tokens: alphabet.read(bytes, place) };
}

/** How many samples are looked at, and bytes of each. */
const LOOKED_AT = 1000;
/** The share of bytes above which samples are DNA. English has a third of these letters. */
const LIKE_DNA = 0.6;
const NUCLEOTIDE = /[ACGTUN]/gi, SOLID = /\S/g;

/** What samples look like. */
function alphabetFor(samples: readonly RawSample[]): Alphabet {
  const decoder = new TextDecoder();
  let nucleotides = 0, all = 0;
  for (const { bytes } of samples.slice(0, LOOKED_AT)) {
    const text = decoder.decode(bytes.subarray(0, LOOKED_AT));
    nucleotides += text.match(NUCLEOTIDE)?.length ?? 0;
    all += text.match(SOLID)?.length ?? 0;
  }
  return nucleotides > LIKE_DNA * all ? NUCLEOTIDE_ALPHABET : BYTE_ALPHABET;
}

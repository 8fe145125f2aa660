/**
 * The text of a run: its sources, and the training and held-out parts. Only a piece of it is in memory at any time.
 */
import { type DocumentStarts, type TokenSource, tokenSource, type WeightedText } from "../../titans/mod.ts";
import { UsageError } from "../errors.ts";
import { speeches } from "../sotu.ts";
import { BETWEEN_DOCUMENTS, type DocumentPiece, readDocuments } from "./documents.ts";
import { type DataIdentity, fingerprint, joinFingerprints } from "./identity.ts";
import { type InputFile, inputFiles, isStream } from "./input_files.ts";
import { partOf, splitRanges } from "./part_of.ts";
import { readingProgress } from "./reading_progress.ts";
import { type DataRecipe, DEFAULT_RECIPE, rowOptions } from "./recipe.ts";
import { downloadedFile } from "./remote.ts";
import { describeRead, plainFacts, type ReadFacts, RowTally } from "./rows.ts";
import { isRemote, parseSource } from "./source_spec.ts";
import { buildTokens, cachedStarts, type CachedTokens, cacheKey, findTokens } from "./token_cache.ts";
import { JoinedFiles, TokenFile } from "./token_file.ts";
import { openVocabulary, type Vocabulary } from "./vocabulary.ts";

/** Training and held-out tokens. */
export interface Corpus extends Disposable {
  readonly identity: DataIdentity;
  readonly vocabulary: Vocabulary;
  /** Average bytes of text per token: 1 if tokens are bytes. */
  readonly bytesPerToken: number;
  /** Training texts with their weights. */
  readonly train: readonly (WeightedText & { readonly text: TokenSource })[];
  readonly heldOut: readonly TokenSource[];
  /** Bytes of the training text; estimated from the average token if tokens are not bytes. */
  readonly trainBytes: number;
  /** The same for the held-out text. */
  readonly heldOutBytes: number;
  /** What was read and skipped, one or more lines per text. */
  readonly notes: readonly string[];
}

/** Options of a corpus. */
export interface CorpusOptions {
  /** Tokens per training sequence: both parts of every text must be at least one token longer. */
  readonly seqLen: number;
  /** Seed for scattered held-out pieces. */
  readonly seed: number;
  /** The folder of prepared texts and downloads. */
  readonly cache: string;
  /** Whether document boundaries are needed. Default: false. */
  readonly documents?: boolean;
  /** Receives messages while a text is prepared. */
  readonly note?: (line: string) => void;
  /** Whether a stop was requested. */
  readonly stopped?: () => boolean;
}

/** A text, its size and the value of `--data` that produces it. */
interface OpenedText {
  readonly text: TokenSource & Partial<Disposable>;
  readonly textBytes: number;
  readonly place: string;
  /** What was read from the files. */
  readonly read?: ReadFacts;
  /** Messages: what was skipped, and what the user should know. */
  readonly remarks?: readonly string[];
}

/**
 * Opens the texts of a recipe; those without random access are first written to the cache as tokens.
 * @throws {UsageError} if a text is missing, empty, too short, or not what its format says.
 */
export async function openCorpus(recipe: DataRecipe, options: CorpusOptions): Promise<Corpus> {
  const { seqLen, seed } = options;
  const specs = recipe.sources.map(parseSource), vocabulary = await openVocabulary(recipe.vocabulary);
  using opened = new DisposableStack();
  const texts: OpenedText[] = [];
  for (const { place } of specs) {
    const text = await openText(place, recipe, vocabulary, options);
    if (text.text[Symbol.dispose]) opened.use(text.text as Disposable);
    texts.push(text);
  }
  const split = texts.map(({ text }) => splitRanges(text.length, recipe.heldOut, { split: recipe.split, seed }));
  const fits = ([start, end]: readonly [number, number]): boolean => end - start > seqLen;
  for (const [i, { text, place }] of texts.entries()) {
    if (!split[i].train.some(fits) || !split[i].heldOut.some(fits)) {
      throw tooShort(place, text.length, { recipe, seqLen, vocabulary });
    }
  }
  const textBytes = texts.reduce((sum, text) => sum + text.textBytes, 0),
    tokens = texts.reduce((sum, { text }) => sum + text.length, 0);
  const prints: string[] = [];
  for (const { text } of texts) prints.push(await fingerprint(text, vocabulary.idBytes === 1));
  const sources = texts.map(({ place }, i) =>
    specs[i].weight === 1 && !/=[\d.]+$/.test(place) ? place : `${place}=${specs[i].weight}`
  );
  const bytesPerToken = vocabulary.idBytes === 1 ? 1 : textBytes / tokens;
  const train = texts.flatMap(({ text }, i) =>
    split[i].train.filter(fits).map((range) => ({ text: partOf(text, range), weight: specs[i].weight }))
  );
  const heldOut = texts.flatMap(({ text }, i) => split[i].heldOut.filter(fits).map((range) => partOf(text, range)));
  const bytesOf = (parts: readonly TokenSource[]): number =>
    Math.round(bytesPerToken * parts.reduce((sum, part) => sum + part.length, 0));
  const documents = options.documents
    ? { documents: texts.reduce((sum, { text }) => sum + (text.documents?.count ?? 1), 0) }
    : {};
  const notes = texts.flatMap(({ text, place, textBytes, read, remarks = [] }) => {
    const name = place.startsWith(FROM_INPUT) ? "standard input" : place;
    // For a single text file, the run's first line is enough.
    const isPlain = read === undefined || (read.files === 1 && read.rows === 0);
    return [
      ...remarks,
      ...isPlain ? [] : [describeRead(name, read, { documents: text.documents?.count, bytes: textBytes })],
    ];
  });
  const idle = idleRowFlags(recipe);
  if (idle.length > 0 && texts.every(({ place, read }) => place === "sotu" || read?.rows === 0)) {
    notes.push(
      `note: ${idle.join(", ")} change${idle.length === 1 ? "s" : ""} nothing if no text has records or rows`,
    );
  }
  const kept = opened.move();
  return {
    identity: {
      name: sources.join(" "),
      bytes: textBytes,
      sha256: await joinFingerprints(prints),
      ...documents,
      recipe: { ...recipe, sources },
    },
    vocabulary,
    bytesPerToken,
    train,
    heldOut,
    trainBytes: bytesOf(train.map(({ text }) => text)),
    heldOutBytes: bytesOf(heldOut),
    notes,
    [Symbol.dispose]: () => kept.dispose(),
  };
}

/** The flags for records and rows that a recipe was made with. */
function idleRowFlags({ field, separator, header, skipBadRows }: DataRecipe): string[] {
  const given = {
    "--field": field !== DEFAULT_RECIPE.field,
    "--separator": separator !== undefined,
    "--no-header": header === false,
  };
  return Object.entries({ ...given, "--skip-bad-rows": skipBadRows === true }).filter(([, isGiven]) => isGiven).map((
    [flag],
  ) => flag);
}

async function openText(
  place: string,
  recipe: DataRecipe,
  vocabulary: Vocabulary,
  options: CorpusOptions,
): Promise<OpenedText> {
  if (place === "sotu") return await openBuiltIn(vocabulary, options);
  if (place.startsWith(FROM_INPUT)) return await openKept(place, vocabulary, options);
  const remarks: string[] = [], remark = (line: string): void => void remarks.push(line);
  const files = isRemote(place)
    ? [await downloadedFile(place, options.cache, recipe.format, remark)]
    : await inputFiles(place, recipe.format, { remark });
  if (files.some(isStream)) {
    return { ...await openInput(place, files, { recipe, vocabulary, options, remark }), remarks };
  }
  const isPlain = files.every(({ content }) =>
    content?.format === "text" && !content.packed && content.encoding === "utf-8"
  );
  if (vocabulary.idBytes === 1 && isPlain) return { ...openPlain(place, files), remarks };
  const facts = await Promise.all(files.map(async ({ path, content, sizeBytes, modifiedMs }) => {
    const { format, packed, encoding } = content!;
    return {
      path: await Deno.realPath(path),
      format,
      packed,
      ...encoding === "utf-8" ? {} : { encoding },
      sizeBytes,
      modifiedMs,
    };
  }));
  const key = await cacheKey({ facts, ...rowOptions(recipe), vocabulary: vocabulary.name });
  const found = await findTokens(key, options.cache, options.documents === true);
  return {
    ...openTokens(
      place,
      found ?? await prepare(place, files, { key, recipe, vocabulary, options, remark }),
      vocabulary,
    ),
    remarks,
  };
}

function openPlain(place: string, files: readonly InputFile[]): OpenedText {
  const text = new JoinedFiles(files, BETWEEN_DOCUMENTS);
  if (text.length === 0) {
    throw new UsageError(`the data file ${place} is empty: give a text file with --data FILE, or --data sotu`);
  }
  return { text, textBytes: text.length, place, read: plainFacts(files.length) };
}

function openTokens(place: string, tokens: CachedTokens, vocabulary: Vocabulary): OpenedText {
  return {
    text: new TokenFile(tokens, vocabulary.idBytes, cachedStarts(tokens)),
    textBytes: tokens.textBytes,
    place,
    read: tokens.read,
  };
}

interface Preparing {
  readonly recipe: DataRecipe;
  readonly vocabulary: Vocabulary;
  readonly options: CorpusOptions;
  readonly remark: (line: string) => void;
}

async function prepare(
  place: string,
  files: readonly InputFile[],
  { key, recipe, vocabulary, options, remark }: Preparing & { readonly key: string | (() => string) },
): Promise<CachedTokens> {
  const total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0), tally = new RowTally(recipe.skipBadRows);
  const progress = readingProgress({ what: `preparing ${place}`, total, note: options.note });
  const text = readDocuments(files, { ...rowOptions(recipe), tally, stopped: options.stopped, progress });
  const tokens = await buildTokens(key, text, {
    folder: options.cache,
    name: place,
    vocabulary,
    read: () => tally.facts,
  });
  tally.remarks.forEach(remark);
  return tokens;
}

/** The built-in text: in memory as bytes, in the cache as other tokens. */
async function openBuiltIn(vocabulary: Vocabulary, options: CorpusOptions): Promise<OpenedText> {
  const place = "sotu",
    texts = (await speeches()).map((text, i, { length }) =>
      new TextEncoder().encode(i + 1 < length ? `${text}\n\n` : text)
    );
  const starts = new Float64Array(texts.length),
    bytes = new Uint8Array(texts.reduce((sum, text) => sum + text.length, 0));
  for (let i = 0, at = 0; i < texts.length; at += texts[i++].length) {
    starts[i] = at;
    bytes.set(texts[i], at);
  }
  if (vocabulary.idBytes === 1) {
    const documents: DocumentStarts = {
      count: starts.length,
      read: (first, into) => into.set(starts.subarray(first, first + into.length)),
    };
    return { text: { ...tokenSource(bytes), documents }, textBytes: bytes.length, place };
  }
  const key = await cacheKey({ text: await fingerprint(tokenSource(bytes), true), vocabulary: vocabulary.name });
  const pieces = (async function* (): AsyncGenerator<DocumentPiece> {
    for (const text of texts) yield await Promise.resolve({ bytes: text, starts: true });
  })();
  const tokens = await findTokens(key, options.cache, options.documents === true) ??
    await buildTokens(key, pieces, { folder: options.cache, name: place, vocabulary });
  return openTokens(place, tokens, vocabulary);
}

/** Prefix of the name of a text from standard input that is kept in the cache. */
const FROM_INPUT = "stdin:";

/** A text from standard input that was kept in the cache. */
async function openKept(place: string, vocabulary: Vocabulary, options: CorpusOptions): Promise<OpenedText> {
  const key = place.slice(FROM_INPUT.length), kept = await findTokens(key, options.cache, options.documents === true);
  if (kept) return openTokens(place, kept, vocabulary);
  if (await findTokens(key, options.cache, false)) {
    throw new UsageError(
      `the document boundaries of ${place}, which --stream needs, were not recorded: give the text again with --data -`,
    );
  }
  throw new UsageError(
    `the text that came from standard input is no longer in ${options.cache}: give it again with --data -, or start a new run`,
  );
}

/** Standard input or a pipe: kept in the cache, so that the run can be resumed. */
async function openInput(place: string, files: readonly InputFile[], preparing: Preparing): Promise<OpenedText> {
  const key = `stdin-${crypto.randomUUID().slice(0, 13)}`;
  const tokens = await prepare(place, files, { ...preparing, key });
  return openTokens(`${FROM_INPUT}${key}`, tokens, preparing.vocabulary);
}

function tooShort(
  place: string,
  length: number,
  { recipe, seqLen, vocabulary }: { recipe: DataRecipe; seqLen: number; vocabulary: Vocabulary },
): UsageError {
  const needed = Math.ceil((seqLen + 1) / recipe.heldOut), share = Number((100 * recipe.heldOut).toPrecision(3));
  const scattered = recipe.split === "scattered" ? ", or hold out its end with --split end" : "";
  return new UsageError(
    `the data ${place} has ${length} ${vocabulary.unit}${
      length === 1 ? "" : "s"
    }, sequences of ${seqLen} need at least ${needed} (${share}% is held out): ` +
      `give more text or a smaller --seq-len${scattered}`,
  );
}

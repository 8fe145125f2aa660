/** The text of a run: where it comes from, what is learned from and what is held out, never more of it in memory than a piece. */
import { type DocumentStarts, type TokenSource, tokenSource, type WeightedText } from "../../titans/mod.ts";
import { UsageError } from "../errors.ts";
import { speeches } from "../sotu.ts";
import { BETWEEN_DOCUMENTS, type DocumentPiece, readDocuments } from "./documents.ts";
import { type DataIdentity, fingerprint, joinFingerprints } from "./identity.ts";
import { type InputFile, inputFiles } from "./input_files.ts";
import { partOf, splitRanges } from "./part_of.ts";
import { readingProgress } from "./reading_progress.ts";
import type { DataRecipe } from "./recipe.ts";
import { downloadedFile } from "./remote.ts";
import { isRemote, parseSource } from "./source_spec.ts";
import { buildTokens, cachedStarts, type CachedTokens, cacheKey, findTokens } from "./token_cache.ts";
import { JoinedFiles, TokenFile } from "./token_file.ts";
import { openVocabulary, type Vocabulary } from "./vocabulary.ts";

/** Tokens to learn from and tokens to be judged on. */
export interface Corpus extends Disposable {
  readonly identity: DataIdentity;
  readonly vocabulary: Vocabulary;
  /** Bytes of text in a token, on average: 1 if tokens are bytes. */
  readonly bytesPerToken: number;
  /** Texts to learn from with their weights. */
  readonly train: readonly (WeightedText & { readonly text: TokenSource })[];
  readonly heldOut: readonly TokenSource[];
  /** Bytes of text to learn from; where tokens are not bytes, as many as they stand for on average. */
  readonly trainBytes: number;
  /** The same of what is held out. */
  readonly heldOutBytes: number;
}

/** What a corpus is made with. */
export interface CorpusOptions {
  /** Tokens of a training sequence: every text must hold one and the token after it, in both of its parts. */
  readonly seqLen: number;
  /** Chooses held-out pieces that are scattered. */
  readonly seed: number;
  /** Where prepared texts and downloads are. */
  readonly cache: string;
  /** Whether it must be known where documents begin; false unless given. */
  readonly documents?: boolean;
  /** Hears lines for people while a text is prepared. */
  readonly note?: (line: string) => void;
  /** Whether somebody asked to stop. */
  readonly stopped?: () => boolean;
}

/** A text, its bytes and what `--data` would say to get it again. */
interface OpenedText {
  readonly text: TokenSource & Partial<Disposable>;
  readonly textBytes: number;
  readonly place: string;
}

/**
 * Opens the texts of a recipe; those that cannot be read at any place are written to the cache as tokens first.
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
    if (!split[i].train.some(fits) || !split[i].heldOut.some(fits)) throw tooShort(place, text.length, { recipe, seqLen, vocabulary });
  }
  const textBytes = texts.reduce((sum, text) => sum + text.textBytes, 0), tokens = texts.reduce((sum, { text }) => sum + text.length, 0);
  const prints: string[] = [];
  for (const { text } of texts) prints.push(await fingerprint(text, vocabulary.idBytes === 1));
  const sources = texts.map(({ place }, i) => specs[i].weight === 1 && !/=[\d.]+$/.test(place) ? place : `${place}=${specs[i].weight}`);
  const bytesPerToken = vocabulary.idBytes === 1 ? 1 : textBytes / tokens;
  const train = texts.flatMap(({ text }, i) => split[i].train.filter(fits).map((range) => ({ text: partOf(text, range), weight: specs[i].weight })));
  const heldOut = texts.flatMap(({ text }, i) => split[i].heldOut.filter(fits).map((range) => partOf(text, range)));
  const bytesOf = (parts: readonly TokenSource[]): number => Math.round(bytesPerToken * parts.reduce((sum, part) => sum + part.length, 0));
  const documents = options.documents ? { documents: texts.reduce((sum, { text }) => sum + (text.documents?.count ?? 1), 0) } : {};
  const kept = opened.move();
  return {
    identity: { name: sources.join(" "), bytes: textBytes, sha256: await joinFingerprints(prints), ...documents, recipe: { ...recipe, sources } },
    vocabulary,
    bytesPerToken,
    train,
    heldOut,
    trainBytes: bytesOf(train.map(({ text }) => text)),
    heldOutBytes: bytesOf(heldOut),
    [Symbol.dispose]: () => kept.dispose(),
  };
}

async function openText(place: string, recipe: DataRecipe, vocabulary: Vocabulary, options: CorpusOptions): Promise<OpenedText> {
  if (place === "sotu") return await openBuiltIn(vocabulary, options);
  if (place === "-" || place.startsWith(FROM_INPUT)) return await openInput(place, recipe, vocabulary, options);
  const files = isRemote(place) ? [await downloadedFile(place, options.cache, recipe.format)] : await inputFiles(place, recipe.format);
  if (vocabulary.idBytes === 1 && files.every(({ format, packed }) => format === "text" && !packed)) return openPlain(place, files);
  const facts = await Promise.all(files.map(async ({ path, ...rest }) => ({ path: await Deno.realPath(path), ...rest })));
  const key = await cacheKey({ facts, field: recipe.field, vocabulary: vocabulary.name });
  const tokens = await findTokens(key, options.cache, options.documents === true) ?? await prepare(place, files, { key, recipe, vocabulary, options });
  return openTokens(place, tokens, vocabulary);
}

function openPlain(place: string, files: readonly InputFile[]): OpenedText {
  const text = new JoinedFiles(files, BETWEEN_DOCUMENTS);
  if (text.length === 0) throw new UsageError(`the data file ${place} is empty: give a text file with --data FILE, or --data sotu`);
  return { text, textBytes: text.length, place };
}

function openTokens(place: string, tokens: CachedTokens, vocabulary: Vocabulary): OpenedText {
  return { text: new TokenFile(tokens, vocabulary.idBytes, cachedStarts(tokens)), textBytes: tokens.textBytes, place };
}

async function prepare(
  place: string,
  files: readonly InputFile[],
  { key, recipe, vocabulary, options }: { key: string | (() => string); recipe: DataRecipe; vocabulary: Vocabulary; options: CorpusOptions },
): Promise<CachedTokens> {
  const total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const progress = readingProgress({ what: `preparing ${place}`, total, note: options.note });
  const text = readDocuments(files, { field: recipe.field, stopped: options.stopped, progress });
  return await buildTokens(key, text, { folder: options.cache, name: place, vocabulary });
}

/** The text that comes with the program: in memory as bytes, in the cache as other tokens. */
async function openBuiltIn(vocabulary: Vocabulary, options: CorpusOptions): Promise<OpenedText> {
  const place = "sotu", texts = (await speeches()).map((text, i, { length }) => new TextEncoder().encode(i + 1 < length ? `${text}\n\n` : text));
  const starts = new Float64Array(texts.length), bytes = new Uint8Array(texts.reduce((sum, text) => sum + text.length, 0));
  for (let i = 0, at = 0; i < texts.length; at += texts[i++].length) {
    starts[i] = at;
    bytes.set(texts[i], at);
  }
  if (vocabulary.idBytes === 1) {
    const documents: DocumentStarts = { count: starts.length, read: (first, into) => into.set(starts.subarray(first, first + into.length)) };
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

/** What stands for a text from standard input that was kept in the cache. */
const FROM_INPUT = "stdin:";

/** Standard input: kept in the cache, so that the run can go on. */
async function openInput(place: string, recipe: DataRecipe, vocabulary: Vocabulary, options: CorpusOptions): Promise<OpenedText> {
  if (place !== "-") {
    const key = place.slice(FROM_INPUT.length), kept = await findTokens(key, options.cache, options.documents === true);
    if (kept) return openTokens(place, kept, vocabulary);
    if (await findTokens(key, options.cache, false)) {
      throw new UsageError(`nobody noted where the documents of ${place} begin, which --stream needs: give the text again with --data -`);
    }
    throw new UsageError(`the text that came from standard input is no longer in ${options.cache}: give it again with --data -, or start a new run`);
  }
  const format = recipe.format === "auto" ? "text" : recipe.format;
  if (format === "parquet") throw new UsageError("Parquet cannot come from standard input: give a file with --data FILE");
  const key = `stdin-${crypto.randomUUID().slice(0, 13)}`;
  const file: InputFile = { path: "-", format, packed: false, sizeBytes: 0, modifiedMs: 0 };
  const tokens = await prepare("-", [file], { key, recipe, vocabulary, options });
  return openTokens(`${FROM_INPUT}${key}`, tokens, vocabulary);
}

function tooShort(place: string, length: number, { recipe, seqLen, vocabulary }: { recipe: DataRecipe; seqLen: number; vocabulary: Vocabulary }): UsageError {
  const needed = Math.ceil((seqLen + 1) / recipe.heldOut), share = Number((100 * recipe.heldOut).toPrecision(3));
  const scattered = recipe.split === "scattered" ? ", or hold out its end with --split end" : "";
  return new UsageError(
    `the data ${place} has ${length} ${vocabulary.unit}s, sequences of ${seqLen} need at least ${needed} (${share}% is held out): ` +
      `give more text or a smaller --seq-len${scattered}`,
  );
}

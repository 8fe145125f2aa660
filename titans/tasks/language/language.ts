/**
 * Language modelling of long texts: what a byte costs, how that falls with the position in a text, and what context is
 * good for.
 *
 *     bits per byte = L / (N ln 2), byte perplexity = exp(L / N), word perplexity = exp(L / W)
 *
 * for a sum L of -ln p over tokens that stand for N bytes, and W pieces of the text between white space. The first token
 * of a text has no context, and is not scored.
 */
import { ConfigError } from "../../errors.ts";
import type { OptionsOf, OptionTable } from "../../options/option_table.ts";
import { type Benchmark, type BenchmarkSubject, defineBenchmark, type TextCodec } from "../benchmark.ts";
import { meanOf } from "../figures.ts";
import { filesOf } from "../files.ts";
import { numbersOf } from "../lists.ts";
import type { Scorer } from "../scorer.ts";
import type { Score } from "../task.ts";
import { type Block, positionBuckets, resetBlocks, rollingBlocks, streamingBlocks } from "./blocks.ts";

const LANGUAGE_OPTIONS = {
  data: { kind: "text", default: "", placeholder: "PATH", help: "a text, or a folder of texts" },
  reading: {
    kind: "choice",
    default: "streaming",
    choices: {
      streaming: "one state through a whole text",
      rolling: "windows of `window` tokens, the last one moved back to be full",
      reset: "windows of `window` tokens, each of which starts with a fresh state, as in training",
    },
    help: "how a text is read",
  },
  window: { kind: "integer", default: 512, min: 1, max: 2 ** 20, help: "tokens that a window predicts" },
  most: { kind: "integer", default: 65536, min: 2, max: 2 ** 30, help: "tokens of each text at most" },
  positions: {
    kind: "integer",
    default: 0,
    min: 0,
    max: 2 ** 20,
    help: "tokens of windows of which the loss is given by position; 0 for none",
  },
  contexts: {
    kind: "text",
    default: "",
    placeholder: "LIST",
    help: "lengths of context before spans that are the same for all, such as 0,256,4096; none without",
  },
  span: { kind: "integer", default: 256, min: 1, max: 2 ** 16, help: "tokens of these spans" },
} as const satisfies OptionTable;

type LanguageOptions = OptionsOf<typeof LANGUAGE_OPTIONS>;

/** Language modelling of long texts. */
export const language: Benchmark<typeof LANGUAGE_OPTIONS> = defineBenchmark({
  name: "language",
  summary: "bits per byte of long texts, by position, and by length of context",
  options: LANGUAGE_OPTIONS,
  reads: ["data"],
  create: (options, files) => {
    const decoder = new TextDecoder();
    const texts = filesOf("language", { option: "data", path: options.data, files }).map(({ name, bytes }) => ({
      name,
      text: decoder.decode(bytes),
    }));
    const contexts = numbersOf(options.contexts, { option: "contexts", min: 0, max: 2 ** 24 });
    return { evaluate: (subject) => measure(texts, { options, contexts, subject }) };
  },
});

/** A text as tokens. */
interface Encoded {
  readonly name: string;
  readonly tokens: readonly number[];
}

async function measure(
  texts: readonly { readonly name: string; readonly text: string }[],
  { options, contexts, subject }: {
    readonly options: LanguageOptions;
    readonly contexts: readonly number[];
    readonly subject: BenchmarkSubject;
  },
): Promise<readonly Score[]> {
  const encoded = texts.map(({ name, text }): Encoded => ({ name, tokens: Array.from(subject.text.encode(text)) }));
  using reader = await subject.text.reader({ batch: subject.batch, piece: Math.min(512, options.window) });
  const given = { reader, subject, options };
  const scores = [...await subject.cell(options.reading, () => readWhole(encoded, given))];
  if (options.positions > 0) {
    scores.push(...await subject.cell("positions", () => byPosition(encoded, given)));
  }
  if (contexts.length > 0) {
    scores.push(...await subject.cell("contexts", () => byContext(encoded, { ...given, contexts })));
  }
  return scores;
}

interface Given {
  readonly reader: Scorer;
  readonly subject: BenchmarkSubject;
  readonly options: LanguageOptions;
}

/** ln p of the scored tokens of blocks, block by block. */
async function scoreBlocks(
  blocks: readonly { readonly tokens: readonly number[]; readonly block: Block }[],
  { reader, subject }: Given,
): Promise<readonly Float32Array[]> {
  subject.expect(blocks.length);
  const requests = blocks.map(({ tokens, block: { from, scoredFrom, to } }) => ({
    context: tokens.slice(from, scoredFrom),
    continuations: [tokens.slice(scoredFrom, to)],
  }));
  const scored = await reader.score(requests, (done) => subject.advance(done));
  return scored.map(([{ each }]) => each);
}

/** What whole texts cost, in the chosen way of reading. */
async function readWhole(texts: readonly Encoded[], given: Given): Promise<readonly Score[]> {
  const { subject: { text: codec }, options } = given, { reading, window, most } = options;
  const cut = { streaming: streamingBlocks, rolling: rollingBlocks, reset: resetBlocks }[reading];
  const blocks = texts.flatMap(({ tokens }) => {
    const read = tokens.slice(0, most);
    return cut(read.length, window).map((block) => ({ tokens: read, block }));
  });
  if (blocks.length === 0) throw new ConfigError("Cannot measure the texts: none has two tokens", "data");
  const losses = await scoreBlocks(blocks, given);
  let nats = 0, bytes = 0, words = 0;
  blocks.forEach(({ tokens, block: { scoredFrom, to } }, i) => {
    for (const value of losses[i]) nats -= value;
    bytes += bytesOf(codec, tokens.slice(scoredFrom, to));
    words += wordsIn(codec, tokens.slice(scoredFrom, to));
  });
  const figure = (name: string, value: number, count: number): Score => ({ name: `${name}, ${reading}`, value, count });
  return [
    figure("bitsPerByte", nats / bytes / Math.LN2, bytes),
    figure("bytePerplexity", Math.exp(nats / bytes), bytes),
    ...(words > 0 ? [figure("wordPerplexity", Math.exp(nats / words), words)] : []),
  ];
}

/** The loss by position in windows, and what the second half gains over the start. */
async function byPosition(texts: readonly Encoded[], given: Given): Promise<readonly Score[]> {
  const { positions: length } = given.options;
  const windows = windowsOf(texts, length, given.subject.samples);
  const each = await scoreBlocks(windows.map((tokens) => ({ tokens, block: streamingBlocks(length)[0] })), given);
  /** The mean loss of positions in each window: `each` has that of position 1 first. */
  const means = (from: number, to: number): number[] => each.map((values) => mean(values.subarray(from - 1, to - 1)));
  const buckets = positionBuckets(length).map(({ from, to }) => meanOf(`nats, position ${from}`, means(from, to)));
  const [early, late] = [means(length >> 4, length >> 3), means(length >> 1, length)];
  return [...buckets, ...(length < 32 ? [] : [meanOf("memoryGain", early.map((value, i) => value - late[i]))])];
}

/** What the same spans cost after contexts of different lengths. */
async function byContext(
  texts: readonly Encoded[],
  given: Given & { readonly contexts: readonly number[] },
): Promise<readonly Score[]> {
  const { contexts, options: { span }, subject } = given, longest = Math.max(...contexts);
  const windows = windowsOf(texts, longest + span, subject.samples), scores: Score[] = [];
  for (const context of contexts) {
    const blocks = windows.map((tokens) => ({
      tokens,
      block: { from: longest - context, scoredFrom: longest, to: longest + span },
    }));
    const each = await scoreBlocks(blocks, given);
    const bits = each.map((values, i) =>
      -sum(values) / Math.LN2 / bytesOf(subject.text, windows[i].slice(longest, longest + span))
    );
    scores.push(meanOf(`bitsPerByte, context ${context}`, bits));
  }
  return scores;
}

/** Windows of texts, spread evenly: at most so many, which do not overlap. @throws {ConfigError} if none fits. */
function windowsOf(texts: readonly Encoded[], length: number, most: number): readonly (readonly number[])[] {
  const starts = texts.flatMap(({ tokens }) =>
    Array.from({ length: Math.floor(tokens.length / length) }, (_, i) => ({ tokens, at: i * length }))
  );
  if (starts.length === 0) {
    const longest = Math.max(...texts.map(({ tokens }) => tokens.length));
    throw new ConfigError(
      `Cannot measure ${length} tokens of a text: the longest has ${longest}; give a longer one, or smaller lengths`,
      "data",
    );
  }
  const count = Math.min(most, starts.length);
  return Array.from({ length: count }, (_, i) => {
    const { tokens, at } = starts[Math.floor(i * starts.length / count)];
    return tokens.slice(at, at + length);
  });
}

function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}

/** The mean of -ln p. */
function mean(values: ArrayLike<number>): number {
  return -sum(values) / values.length;
}

function bytesOf({ bytesOf }: TextCodec, tokens: readonly number[]): number {
  return tokens.reduce((bytes, token) => bytes + bytesOf(token).length, 0);
}

/** Pieces between white space. */
function wordsIn({ bytesOf }: TextCodec, tokens: readonly number[]): number {
  let words = 0, inWord = false;
  for (const token of tokens) {
    for (const byte of bytesOf(token)) {
      const isSpace = byte === 32 || (byte >= 9 && byte <= 13);
      if (!isSpace && !inWord) words++;
      inWord = !isSpace;
    }
  }
  return words;
}

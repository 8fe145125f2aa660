/**
 * Questions that a plain text answers itself: which of four sentences comes next, as HellaSwag asks, and which word ends
 * a passage, as LAMBADA does. They are about the end of a text, which a model of its beginning has not seen.
 *
 *     "... The fleet has been called home. The army is disbanded."   -> " Our debt is paid."   " He was a senator."  ..
 *     "Congress has power over the treaty. I therefore send you the" -> " treaty"
 */
import { ConfigError } from "../../errors.ts";
import { sentencesOf } from "../passages.ts";
import { SampleRandom } from "../samples.ts";
import type { TaskFile } from "../task.ts";
import type { Question } from "./formats.ts";

/** A sentence with what is before it. */
interface Placed {
  readonly sentence: string;
  readonly bytes: number;
  /** The sentences of its document before it, as many as fit. */
  readonly before: string;
}

const CHOICES = 4;
/** Bytes of a context at most, and of a sentence that is a choice. */
const CONTEXT = 256, SHORTEST = 24, LONGEST = 160;
/** Sentences of which the wrong choices are those of nearest length, so that length tells nothing. */
const CANDIDATES = 32;
/** Letters that a word has at least which is asked for. */
const LETTERS = 4;

const utf8 = new TextEncoder();

/**
 * Questions by what they ask, `next sentence` and, if there are any, `last word`, in an order that spreads the first ones
 * over the text.
 * @param share How much of the text, at its end, they are about.
 * @throws {ConfigError} if that has too few sentences.
 */
export function textQuestions(
  files: readonly TaskFile[],
  share: number,
): Readonly<Record<string, readonly Question[]>> {
  const choices = endOf(files, share).filter(({ bytes }) => bytes >= SHORTEST && bytes <= LONGEST);
  if (choices.length <= CANDIDATES) {
    const names = files.map(({ name }) => name).join(", ");
    throw new ConfigError(
      `Cannot ask about the last ${share} of ${names}: it has ${choices.length} sentences of ${SHORTEST} to ${LONGEST} bytes, at least ${
        CANDIDATES + 1
      } are needed; give more text, or a greater share`,
      "share",
    );
  }
  const words = choices.flatMap(({ before, sentence }) => lastWord(before, sentence) ?? []);
  return {
    "next sentence": spread(choices.map((_, i) => nextSentence(choices, i)), "next sentence"),
    ...(words.length > 0 ? { "last word": spread(words, "last word") } : {}),
  };
}

/** The files up to the last sentence that ends before their last part, which questions are about. */
export function beforeEnd(files: readonly TaskFile[], share: number): TaskFile[] {
  const decoder = new TextDecoder(), starts = endStarts(files, share);
  return files.flatMap(({ name, bytes }, i) => {
    if (starts[i] >= bytes.length) return [{ name, bytes }];
    const text = decoder.decode(bytes.subarray(0, starts[i])),
      end = Math.max(...[". ", ".\n"].map((stop) => text.lastIndexOf(stop)));
    return end < 0 ? [] : [{ name, bytes: utf8.encode(text.slice(0, end + 1)) }];
  });
}

/** Where the last part begins in each file; beyond the end of one that is before it. */
function endStarts(files: readonly TaskFile[], share: number): number[] {
  // Files are parted by an empty line where they are trained on.
  const starts: number[] = [];
  const total = files.reduce((sum, { bytes }) => (starts.push(sum + 2), sum + bytes.length + 2), -2);
  return starts.map((start) => Math.max(0, Math.ceil((1 - share) * total) - start));
}

/** The sentences of the last part of files that follow one another, but for the first of each. */
function endOf(files: readonly TaskFile[], share: number): Placed[] {
  const decoder = new TextDecoder(), starts = endStarts(files, share);
  return files.flatMap(({ bytes }, i) => {
    const from = starts[i];
    if (from >= bytes.length) return [];
    const sentences = sentencesOf(decoder.decode(bytes.subarray(from))).map((sentence) => ({
      sentence,
      bytes: utf8.encode(sentence).length,
    }));
    // What is cut in the middle is nobody's context.
    const first = from > 0 ? 1 : 0;
    return sentences.slice(first + 1).map((placed, k) => ({
      ...placed,
      before: contextOf(sentences.slice(first, first + 1 + k)),
    }));
  });
}

/** As many of the last sentences as fit into a context, at least one. */
function contextOf(sentences: readonly Omit<Placed, "before">[]): string {
  let start = sentences.length - 1, bytes = sentences[start].bytes;
  while (start > 0 && bytes + 1 + sentences[start - 1].bytes <= CONTEXT) bytes += 1 + sentences[--start].bytes;
  return sentences.slice(start).map(({ sentence }) => sentence).join(" ");
}

function nextSentence(choices: readonly Placed[], at: number): Question {
  const { before, sentence, bytes } = choices[at], random = new SampleRandom(0, `next sentence ${at}`);
  const others = random.distinct(CANDIDATES, choices.length).map((i) => choices[i]).filter((one) =>
    one.sentence !== sentence && !before.includes(one.sentence)
  );
  const wrong = others.sort((a, b) => Math.abs(a.bytes - bytes) - Math.abs(b.bytes - bytes)).slice(0, CHOICES - 1);
  const gold = random.integer(CHOICES), continuations = wrong.map((one) => one.sentence);
  continuations.splice(gold, 0, sentence);
  return { contexts: [before], continuations, gold };
}

/** A question about the last word of a sentence, if that occurs before, so that who remembers it can write it. */
function lastWord(before: string, sentence: string): Question | undefined {
  const [, start, word] = /^(.+) (\p{L}+)[.!?]+["'”’)]*$/u.exec(sentence) ?? [];
  if (word === undefined || word.length < LETTERS) return undefined;
  const context = `${before} ${start}`;
  if (!new RegExp(`(?<!\\p{L})${word}(?!\\p{L})`, "u").test(context)) return undefined;
  return { contexts: [context], continuations: [word], gold: 0 };
}

function spread(questions: readonly Question[], name: string): Question[] {
  return new SampleRandom(0, `order of ${name}`).shuffled(questions.length).map((i) => questions[i]);
}

/** Prompts with a needle: a key and its value in the midst of a text, and the question about it. */
import type { OptionsOf } from "../../options/option_table.ts";
import { passageOf, type Passages, utf8Length } from "../passages.ts";
import type { SampleRandom } from "../samples.ts";
import type { Split } from "../task.ts";
import type { NEEDLE_OPTIONS } from "./options.ts";
import type { KeyWords } from "./words.ts";

type NeedleOptions = OptionsOf<typeof NEEDLE_OPTIONS>;

/** What needles are made of. */
export interface NeedleParts {
  readonly template: NeedleOptions["template"];
  readonly haystack: NeedleOptions["haystack"];
  readonly value: NeedleOptions["value"];
  readonly words: KeyWords;
  readonly passages: Passages;
}

/** A prompt, and what is to be written after it. */
export interface NeedleSample {
  readonly prompt: string;
  readonly value: string;
}

/** What the haystack of noise repeats. */
export const NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";
/** Percent of the sentences before the needle: 40 values, evenly spread. */
export const DEPTHS: readonly number[] = Array.from({ length: 40 }, (_, i) => Math.round(100 * i / 39));

const THINGS = { letter: "letter", digits3: "number", digits7: "number", uuid: "uuid" } as const;

/** A template filled in. */
interface Filled {
  readonly before: string;
  readonly needle: string;
  readonly question: string;
}

/** The texts around a haystack. */
export function fill(
  template: NeedleOptions["template"],
  value: NeedleOptions["value"],
  pair: readonly string[],
): Filled {
  const thing = THINGS[value], [key, said] = pair;
  return template === "short"
    ? {
      before: `Remember the magic ${thing}.`,
      needle: `The magic ${thing} for ${key} is: ${said}.`,
      question: `What is the magic ${thing} for ${key}? The magic ${thing} for ${key} is:`,
    }
    : {
      before:
        `A special magic ${thing} is hidden within the following text. Make sure to memorize it. I will quiz you ` +
        `about the ${thing} afterwards.`,
      needle: `One of the special magic ${thing}s for ${key} is: ${said}.`,
      question: `What is the special magic ${thing} for ${key} mentioned in the provided text? The special magic ` +
        `${thing} for ${key} mentioned in the provided text is`,
    };
}

/** Bytes that the longest prompt takes without a haystack, with what is written after it. */
export function leastBytes({ template, value, words }: NeedleParts): number {
  const longest = (list: readonly string[]): string => list.reduce((a, b) => utf8Length(b) > utf8Length(a) ? b : a);
  const said = "x".repeat(valueLength(value));
  return sizeOf(fill(template, value, [`${longest(words.first)}-${longest(words.second)}`, said]), said);
}

/** Characters of a value. */
export function valueLength(value: NeedleOptions["value"]): number {
  return { letter: 1, digits3: 3, digits7: 7, uuid: 36 }[value];
}

function sizeOf({ before, needle, question }: Filled, value: string): number {
  return utf8Length(`${before}\n${needle}\n${question} ${value}.`);
}

/**
 * A prompt that with its answer has at most so many bytes, and no room for another word, or line of noise.
 * @param depth Percent of the sentences or lines before the needle. Default: any.
 */
export function needleSample(
  { template, haystack, value, words, passages }: NeedleParts,
  { bytes, depth, random, split }: {
    readonly bytes: number;
    readonly depth?: number;
    readonly random: SampleRandom;
    readonly split: Split;
  },
): NeedleSample {
  const key = `${random.oneOf(words.first)}-${random.oneOf(words.second)}`, said = drawValue(value, random);
  const filled = fill(template, value, [key, said]), room = bytes - sizeOf(filled, said) - 1;
  const pieces = haystack === "noise"
    ? new Array<string>(Math.max(0, Math.floor((room + 1) / (NOISE.length + 1)))).fill(NOISE)
    : passageOf(passages.from(split, random), room);
  const isNoise = haystack === "noise", count = pieces.length;
  const index = depth === undefined && isNoise
    ? random.integer(Math.max(1, count))
    : Math.floor(count * (depth ?? random.oneOf(DEPTHS)) / 100);
  const text = pieces.toSpliced(index, 0, filled.needle).join(isNoise ? "\n" : " ");
  return { prompt: `${filled.before}\n${text}\n${filled.question}`, value: said };
}

function drawValue(value: NeedleOptions["value"], random: SampleRandom): string {
  if (value === "letter") return String.fromCharCode(65 + random.integer(26));
  if (value === "digits3") return String(100 + random.integer(900));
  if (value === "digits7") return String(1_000_000 + random.integer(9_000_000));
  const hex = (): string => random.integer(16).toString(16);
  return "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx".replace(/[xy]/g, (x) => x === "x" ? hex() : "89ab"[random.integer(4)]);
}

/** Which characters of a value have to be remembered: not the dashes of a UUID, nor its version and variant. */
export function isFree(value: NeedleOptions["value"], character: number): boolean {
  return value !== "uuid" || "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx"[character] === "x";
}

/** The value that a prompt asks for, as a reader finds it, and where the prompt ends; each character is a byte. */
export function findNeedle(
  text: string,
): { readonly value: string; readonly at: number; readonly end: number } | undefined {
  const asked = /\nWhat is the (?:special )?magic \w+ for (\S+?)(?:\?| mentioned).* is(?::|(?= |$))/.exec(text);
  if (!asked) return undefined;
  const needle = text.indexOf(` for ${asked[1]} is: `), from = needle + ` for ${asked[1]} is: `.length;
  const end = text.indexOf(".", from);
  return { value: text.slice(from, end), at: end, end: asked.index + asked[0].length };
}

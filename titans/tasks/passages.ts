/** Passages of texts that tasks hide something in: sentences of files, in three parts that never meet. */
import type { SampleRandom } from "./samples.ts";
import type { Split, TaskFile } from "./task.ts";

/** Files from which on a part is whole files, so that no document is in two parts. */
const FILES = 10;
/** Where validation and test begin. */
const CUTS = [0.8, 0.9];

/** Splits a text at ends of sentences: `.`, `!` or `?`, before a capital, a digit or a quote. */
export function sentencesOf(text: string): string[] {
  return text.replace(/\s+/g, " ").trim().split(/(?<=[.!?]["'”’)\]]?) (?=["'“‘(]?[A-Z0-9]|["'“‘])/).filter((sentence) =>
    sentence !== ""
  );
}

/** Sentences to take passages from. */
export class Passages {
  readonly #parts: Readonly<Record<Split, readonly string[]>>;

  /**
   * Of files: eight tenths to train on, one to validate, one to test, cut between files if there are ten or more.
   * @param isWanted Which sentences are taken. Default: all.
   */
  static of(files: readonly TaskFile[], isWanted: (sentence: string) => boolean = () => true): Passages {
    const decoder = new TextDecoder();
    const texts = files.map(({ bytes }) => sentencesOf(decoder.decode(bytes)).filter(isWanted));
    const units = texts.length >= FILES ? texts : texts.flat().map((sentence) => [sentence]);
    const [first, second] = CUTS.map((cut) => Math.round(cut * units.length));
    return new Passages({
      train: units.slice(0, first).flat(),
      validation: units.slice(first, second).flat(),
      test: units.slice(second).flat(),
    });
  }

  /** The same sentence again and again, in all parts. */
  static repeated(sentence: string): Passages {
    return new Passages({ train: [sentence], validation: [sentence], test: [sentence] });
  }

  constructor(parts: Readonly<Record<Split, readonly string[]>>) {
    this.#parts = parts;
  }

  /** The number of sentences of a part. */
  count(split: Split): number {
    return this.#parts[split].length;
  }

  /** The sentences of a part. */
  sentences(split: Split): readonly string[] {
    return this.#parts[split];
  }

  /** Sentences one after the other from a random place on, and from the first again after the last. */
  *from(split: Split, random: SampleRandom): Generator<string> {
    const sentences = this.#parts[split];
    for (let i = random.integer(sentences.length);; i++) yield sentences[i % sentences.length];
  }
}

/** The beginning of a passage that is at most so many bytes long, in UTF-8 with spaces between: whole words. */
export function passageOf(sentences: Iterable<string>, bytes: number): string[] {
  const taken: string[] = [];
  let left = bytes;
  for (const sentence of sentences) {
    const size = utf8Length(sentence) + (taken.length > 0 ? 1 : 0);
    if (size > left) {
      const words = wordsWithin(sentence, left - (taken.length > 0 ? 1 : 0));
      if (words !== "") taken.push(words);
      break;
    }
    taken.push(sentence);
    left -= size;
  }
  return taken;
}

function wordsWithin(sentence: string, bytes: number): string {
  let words = "";
  for (const word of sentence.split(" ")) {
    const longer = words === "" ? word : `${words} ${word}`;
    if (utf8Length(longer) > bytes) break;
    words = longer;
  }
  return words;
}

const encoder = new TextEncoder();

/** Bytes of a text in UTF-8. */
export function utf8Length(text: string): number {
  return encoder.encode(text).length;
}

/** Word tokens: those of the bAbI tasks first, then the most frequent ones of a background text. */
import { ACTORS, GIVERS, OBJECTS, ROOMS } from "./story.ts";

/** Padding and all words that are not in the vocabulary. */
export const UNKNOWN = 0;

const BABI_WORDS: readonly string[] = [
  "<unk>",
  ..."answer : . ? , ' the to of is was in before where what who did give received north south east west there".split(
    " ",
  ),
  ..."went journeyed travelled moved back got took grabbed picked up dropped put down left discarded".split(" "),
  ..."gave handed passed".split(" "),
  ...[...new Set([...ACTORS, ...GIVERS, ...ROOMS, ...OBJECTS])].map((word) => word.toLowerCase()),
];

/** Words in small letters, numbers, and every other character by itself. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu) ?? [];
}

/** How prompts become tokens, and what is read of them. */
export interface Encoding {
  /** Token ids. */
  readonly size: number;
  /** The tokens of a text. */
  encode(text: string): ArrayLike<number>;
  /** The text of a row in small letters, and how many tokens its prompt has, which ends with `answer:`. */
  decode(tokens: ArrayLike<number>): { readonly text: string; readonly end: number };
  /** The text of tokens that were written. */
  write(tokens: ArrayLike<number>): string;
}

const encoder = new TextEncoder();

/** Bytes of UTF-8. */
export const BYTE_ENCODING: Encoding = {
  size: 256,
  encode: (text) => encoder.encode(text),
  decode: (tokens) => {
    // A byte a character, so that places agree.
    const text = Array.from(tokens, (byte) => String.fromCharCode(byte)).join("").toLowerCase();
    return { text, end: text.lastIndexOf("answer:") + "answer:".length };
  },
  write: (tokens) => new TextDecoder().decode(Uint8Array.from(tokens)),
};

/** A vocabulary of words. */
export class WordVocabulary implements Encoding {
  /** How many tokens there are, whatever the text. */
  readonly size: number;
  readonly #words: readonly string[];
  readonly #ids: ReadonlyMap<string, number>;

  /** @param count Words of the background besides those of bAbI. */
  constructor(texts: readonly string[], count: number) {
    const counts = new Map<string, number>(), known = new Set(BABI_WORDS);
    for (const text of texts) {
      for (const word of wordsOf(text)) if (!known.has(word)) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    const frequent = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).slice(0, count);
    this.#words = [...BABI_WORDS, ...frequent.map(([word]) => word)];
    this.#ids = new Map(this.#words.map((word, id) => [word, id]));
    this.size = BABI_WORDS.length + count;
  }

  encode(text: string): number[] {
    return wordsOf(text).map((word) => this.#ids.get(word) ?? UNKNOWN);
  }

  decode(tokens: ArrayLike<number>): { readonly text: string; readonly end: number } {
    const words = Array.from(tokens, (token) => this.#words[token] ?? this.#words[UNKNOWN]);
    const end = words.findLastIndex((word, i) => word === ":" && words[i - 1] === "answer") + 1;
    return { text: words.join(" "), end };
  }

  write(tokens: ArrayLike<number>): string {
    return this.decode(tokens).text;
  }
}

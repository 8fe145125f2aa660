/** Nucleotides as an alphabet of classified samples, with logistic regressions on words and places as floors. */
import { ConfigError } from "../../errors.ts";
import type { Alphabet } from "../classification/alphabet.ts";
import { regressionOn } from "../classification/class_floors.ts";
import type { SparseSample } from "../classification/logistic.ts";
import {
  BLANK,
  KNOWN,
  NO_NUCLEOTIDE,
  NUCLEOTIDES,
  PADDING,
  reverseComplement,
  shownByte,
  TOKEN_OF_BYTE,
  UNKNOWN,
} from "./nucleotides.ts";

/** Nucleotides of a word. */
const WORD = 4;

/** Places beyond this one are too many features. */
const MOST_PLACES = 4096;

const LF = 10, CR = 13;

/** Tokens of a sequence. */
interface Sequence {
  readonly tokens: Uint8Array;
}

/** How often each word of four nucleotides is in a sequence; words with an N do not count. */
export function wordCounts({ tokens }: Sequence): SparseSample {
  const counts = new Map<number, number>();
  let word = 0, known = 0;
  for (const token of tokens) {
    known = token < KNOWN ? known + 1 : 0;
    word = (word << 2 | token) & KNOWN ** WORD - 1;
    if (known >= WORD) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return { features: Uint32Array.from(counts.keys()), values: Uint32Array.from(counts.values()) };
}

/** Which nucleotide is at each place. */
export function placesOf({ tokens }: Sequence): SparseSample {
  const features = Array.from(tokens, (token, i) => token < KNOWN ? i * KNOWN + token : -1).filter((at) => at >= 0);
  return { features: Uint32Array.from(features), values: new Uint8Array(features.length).fill(1) };
}

/** The tokens of a text that is one sequence. */
function sequenceTokens(bytes: Uint8Array, place: string): Uint8Array {
  const tokens = new Uint8Array(bytes.length);
  let count = 0;
  for (const byte of bytes) {
    const token = TOKEN_OF_BYTE[byte];
    if (token === BLANK || byte === LF || byte === CR) continue;
    if (token === NO_NUCLEOTIDE) {
      throw new ConfigError(`Cannot use ${place}: ${shownByte(byte)} is no nucleotide`, "data");
    }
    tokens[count++] = token;
  }
  if (count === 0) throw new ConfigError(`Cannot use ${place}: it has no sequence`, "data");
  return tokens.slice(0, count);
}

/** The nucleotides of {@link NUCLEOTIDES}. */
export const NUCLEOTIDE_ALPHABET: Alphabet = {
  name: "nucleotides",
  samples: "sequences",
  size: NUCLEOTIDES.length,
  padding: PADDING,
  unknown: UNKNOWN,
  pretraining: "train --task dna",
  reverseComplement,
  read: sequenceTokens,
  floors: (known, asked) => {
    const [{ tokens: { length } }] = known.samples;
    // The regression on places is there where all sequences are of one length.
    const hasPlaces = length <= MOST_PLACES &&
      [...known.samples, ...asked].every(({ tokens }) => tokens.length === length);
    return {
      "4-mer logistic": regressionOn(known, wordCounts, KNOWN ** WORD),
      ...(hasPlaces ? { "position logistic": regressionOn(known, placesOf, KNOWN * length) } : {}),
    };
  },
};

/** Bytes as an alphabet of classified samples, which are texts, with n-grams of bytes as floors. */
import { ConfigError } from "../../errors.ts";
import { NgramModel } from "../../text/ngram.ts";
import type { Alphabet } from "../classification/alphabet.ts";
import { type Predictor, regressionOn, type Samples, thinned } from "../classification/class_floors.ts";
import type { SparseSample } from "../classification/logistic.ts";

/** A byte that no text has, and the one that ASCII has in place of a character that is not known. */
const NUL = 0, SUBSTITUTE = 26;

/** Bytes of the longest n-gram that is a feature, and how many features there are: n-grams are hashed. */
const LONGEST = 4, FEATURES = 2 ** 16;
/** Numbers of the FNV hash of 32 bits. */
const OFFSET = 0x811c9dc5, PRIME = 0x01000193;

/** Contexts of the models of classes, in bytes, and bytes that they count at most. */
const ORDER = 4, MOST_COUNTED = 2 ** 22;
/** Bytes that the regression is fitted to at most. */
const MOST_FITTED_BYTES = 2 ** 20;

/** Bytes of a text. */
interface Text {
  readonly tokens: Uint8Array;
}

/**
 * The n-grams of one to four bytes in a text, each as 1 + ln(count), scaled to length one; that is what tf-idf
 * vectorisers call sublinear term frequencies.
 */
export function byteNgrams({ tokens }: Text): SparseSample {
  const counts = new Map<number, number>();
  for (let end = 0; end < tokens.length; end++) {
    let hash = OFFSET;
    for (let i = end; i >= 0 && i > end - LONGEST; i--) {
      hash = Math.imul(hash ^ tokens[i], PRIME);
      const feature = (hash ^ hash >>> 15) & FEATURES - 1;
      counts.set(feature, (counts.get(feature) ?? 0) + 1);
    }
  }
  const values = Float64Array.from(counts.values(), (count) => 1 + Math.log(count));
  const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return { features: Uint32Array.from(counts.keys()), values: values.map((value) => value / length) };
}

/**
 * Bayes' rule with an n-gram model of each class:
 *
 *     argmax_c  ln p(c) + sum_t ln p_c(byte_t | the four bytes before it)
 */
export function ngramBayes(known: Samples): Predictor {
  const { samples, labels, classes } = known;
  const models = Array.from({ length: classes }, () => new NgramModel(ORDER)), counts = new Array(classes).fill(0);
  samples.forEach(({ tokens }, i) => {
    models[labels[i]].count(tokens);
    counts[labels[i]]++;
  });
  return ({ tokens }) => {
    const scores = models.map((model, label) => {
      let score = Math.log(counts[label] / samples.length);
      for (let at = 0; at < tokens.length; at++) score += Math.log(model.probability(tokens, at));
      return score;
    });
    return scores.indexOf(Math.max(...scores));
  };
}

/** As many samples as have so many bytes. */
function ofBytes(known: Samples, most: number): Samples {
  const bytes = known.samples.reduce((sum, { tokens }) => sum + tokens.length, 0);
  return thinned(known, Math.ceil(known.samples.length * Math.min(1, most / bytes)));
}

/** The 256 bytes. The padding is NUL, which no text has. */
export const BYTE_ALPHABET: Alphabet = {
  name: "bytes",
  samples: "texts",
  size: 256,
  padding: NUL,
  unknown: SUBSTITUTE,
  pretraining: "train",
  length: 512,
  read: (bytes, place) => {
    if (bytes.includes(NUL)) throw new ConfigError(`Cannot use ${place}: it has a NUL byte, so it is no text`, "data");
    if (bytes.every((byte) => byte <= 32)) throw new ConfigError(`Cannot use ${place}: its text is empty`, "data");
    return bytes;
  },
  floors: (known) => ({
    "n-gram Bayes": ngramBayes(ofBytes(known, MOST_COUNTED)),
    "n-gram logistic": regressionOn(ofBytes(known, MOST_FITTED_BYTES), byteNgrams, FEATURES),
  }),
};

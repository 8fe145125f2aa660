/**
 * What classified samples consist of. DNA and text are two alphabets of one classifier: everything that depends on what
 * a token is, is said here.
 */
import { ConfigError } from "../../errors.ts";
import { NUCLEOTIDE_ALPHABET } from "../dna/nucleotide_alphabet.ts";
import { BYTE_ALPHABET } from "../text/byte_alphabet.ts";
import type { Predictor, Samples } from "./class_floors.ts";

/** An alphabet. */
export interface Alphabet {
  /** Its name, which is also the word for its tokens. */
  readonly name: string;
  /** The word for what is classified: `sequences`. */
  readonly samples: string;
  /** How many token ids there are, with {@link padding}. */
  readonly size: number;
  /** The token that fills rows up. No sample has it. */
  readonly padding: number;
  /** The token in place of one that is hidden in training. */
  readonly unknown: number;
  /** The command that pretrains a model on it. */
  readonly pretraining: string;
  /** How much of a sample is read, where nothing else is asked for. Default: all of it. */
  readonly length?: number;
  /** Turns tokens, in place, into another sample of the same class. */
  readonly reverseComplement?: (tokens: Int32Array) => void;
  /** The tokens of a sample as files have it. @throws {ConfigError} naming its place if it has none, or others. */
  readonly read: (bytes: Uint8Array, place: string) => Uint8Array;
  /** Simple rules that learn from samples, by name. */
  readonly floors: (known: Samples, asked: Samples["samples"]) => Readonly<Record<string, Predictor>>;
}

/** The alphabets. */
export const ALPHABETS: readonly Alphabet[] = [NUCLEOTIDE_ALPHABET, BYTE_ALPHABET];

/** The alphabet of a name. @throws {ConfigError} if there is none. */
export function alphabetOf(name: string): Alphabet {
  const found = ALPHABETS.find((alphabet) => alphabet.name === name);
  if (found) return found;
  const names = ALPHABETS.map((alphabet) => alphabet.name).join(" or ");
  throw new ConfigError(`Cannot use the alphabet ${JSON.stringify(name)}: it must be ${names}`, "alphabet");
}

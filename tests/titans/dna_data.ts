/** Sequences that are made: random ones, and classes of which one has a planted motif. */
import { SampleRandom } from "../../titans/mod.ts";
import type { LabelledSequence, LabelledSet } from "../../titans/tasks/classification/labelled.ts";
import { NUCLEOTIDE_ALPHABET } from "../../titans/tasks/dna/nucleotide_alphabet.ts";
import { lettersOf, TOKEN_OF_BYTE } from "../../titans/tasks/dna/nucleotides.ts";

/** Sequences of nucleotides as a set. */
export function dna(sequences: readonly LabelledSequence[]): LabelledSet {
  return { alphabet: NUCLEOTIDE_ALPHABET, sequences };
}

/** Tokens of letters. */
export function tokensOf(letters: string): Uint8Array {
  return Uint8Array.from(letters, (letter) => TOKEN_OF_BYTE[letter.charCodeAt(0)]);
}

/** Random letters. */
export function randomLetters(random: SampleRandom, length: number): string {
  return lettersOf(Array.from({ length }, () => random.integer(4)));
}

/** What the sequences of one class have at a random place, and those of the other do not have at all. */
export const MOTIF = "TATAATGC";

/** Sequences of the classes `motif` and `other`, in turn. */
export function plantedMotif(count: number, length: number, seed = 1): LabelledSequence[] {
  return Array.from({ length: count }, (_, i) => {
    const random = new SampleRandom(seed, `planted ${i}`), hasMotif = i % 2 === 0;
    for (;;) {
      const letters = randomLetters(random, length), at = random.integer(length - MOTIF.length + 1);
      if (letters.includes(MOTIF)) continue;
      const planted = hasMotif ? letters.slice(0, at) + MOTIF + letters.slice(at + MOTIF.length) : letters;
      return { id: `s${i}`, tokens: tokensOf(planted), label: hasMotif ? "motif" : "other" };
    }
  });
}

/** The oracle of {@link plantedMotif}. */
export function hasMotif({ tokens }: Pick<LabelledSequence, "tokens">): string {
  return lettersOf(tokens).includes(MOTIF) ? "motif" : "other";
}

/** A genome in FASTA, in lines of 70, of a Markov chain in which what follows two nucleotides is likely to be their sum. */
export function chainFasta(length: number, seed = 1): string {
  const random = new SampleRandom(seed, "chain"), tokens = [0, 1];
  while (tokens.length < length) {
    const next = (tokens.at(-1)! + tokens.at(-2)! + 1) % 4;
    tokens.push(random.uniform() < 0.8 ? next : random.integer(4));
  }
  return `>chain made for tests\n${lettersOf(tokens).replace(/.{70}/g, "$&\n")}\n`;
}

/**
 * Nucleotides as tokens: A, C, G, T, N for one that is not known, and padding.
 *
 *     ACGTRYn  ->  0 1 2 3 4 4 4            the reverse complement of AACGN is NCGTT
 */

/** The letters of the tokens; the last one is padding. */
export const NUCLEOTIDES = "ACGTN-";

/** How many tokens are nucleotides that are known. */
export const KNOWN = 4;
/** The token of a nucleotide that is not known. */
export const UNKNOWN = 4;
/** The token that fills rows up. */
export const PADDING = 5;

/** In place of a token: white space, which is dropped. */
export const BLANK = 254;
/** In place of a token: no nucleotide. */
export const NO_NUCLEOTIDE = 255;

/** The token of each byte; letters of either case. U is read as T, the other letters of IUPAC as N. */
export const TOKEN_OF_BYTE: Uint8Array = (() => {
  const table = new Uint8Array(256).fill(NO_NUCLEOTIDE);
  const set = (letters: string, token: (letter: string) => number): void => {
    for (const letter of letters) {
      table[letter.charCodeAt(0)] = table[letter.toLowerCase().charCodeAt(0)] = token(letter);
    }
  };
  set("ACGT", (letter) => NUCLEOTIDES.indexOf(letter));
  set("U", () => NUCLEOTIDES.indexOf("T"));
  set("NRYSWKMBDHV", () => UNKNOWN);
  set(" \t\v\f", () => BLANK);
  return table;
})();

/** A byte as messages show it. */
export function shownByte(byte: number): string {
  return byte > 32 && byte < 127 ? `"${String.fromCharCode(byte)}"` : `the byte ${byte}`;
}

/** Tokens as letters. */
export function lettersOf(tokens: ArrayLike<number>): string {
  return Array.from(tokens, (token) => NUCLEOTIDES[token]).join("");
}

/** Turns tokens in place into those of the other strand, read in its direction. Padding must not be among them. */
export function reverseComplement(tokens: Uint8Array | Int32Array): void {
  tokens.reverse();
  for (let i = 0; i < tokens.length; i++) if (tokens[i] < KNOWN) tokens[i] = KNOWN - 1 - tokens[i];
}

/**
 * Maps positions in decoded text to positions in the source bytes: invalid UTF-8 is decoded as replacement characters,
 * which are three bytes long.
 */

/** U+FFFD as UTF-8. */
const REPLACEMENT_BYTES = 3;

/** Observes a text in passing. Stores data only for invalid UTF-8. */
export class SourceBytes {
  /**
   * After each replacement: the position in the decoded text, and how many more bytes the source has up to there
   * (usually fewer, so negative).
   */
  readonly #replaced: { readonly decoded: number; readonly more: number }[] = [];
  #more = 0;
  /** Decoded bytes of complete characters so far. */
  #decoded = 0;
  /** Bytes of the incomplete character, and how many more it needs. */
  #open = 0;
  #missing = 0;
  /** The valid range of its next byte. */
  #lower = 0x80;
  #upper = 0xbf;

  /** Passes pieces on. */
  async *through(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      for (const byte of piece) this.#see(byte);
      yield piece;
    }
    if (this.#open > 0) this.#replace(this.#open);
  }

  /** How many source bytes correspond to the first bytes of the decoded text. */
  before(decoded: number): number {
    let low = 0, high = this.#replaced.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#replaced[middle].decoded <= decoded) low = middle + 1;
      else high = middle;
    }
    return decoded + (this.#replaced[low - 1]?.more ?? 0);
  }

  /** The decoder of the Encoding Standard, which replaces the longest prefix of an invalid character. */
  #see(byte: number): void {
    if (this.#open > 0) {
      if (byte >= this.#lower && byte <= this.#upper) {
        [this.#lower, this.#upper] = [0x80, 0xbf];
        this.#open++;
        if (--this.#missing === 0) this.#end();
        return;
      }
      this.#replace(this.#open);
    }
    if (byte < 0x80) this.#decoded++;
    else if (byte >= 0xc2 && byte <= 0xf4) {
      this.#open = 1;
      this.#missing = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
      this.#lower = byte === 0xe0 ? 0xa0 : byte === 0xf0 ? 0x90 : 0x80;
      this.#upper = byte === 0xed ? 0x9f : byte === 0xf4 ? 0x8f : 0xbf;
    } else this.#replace(1);
  }

  #end(): void {
    this.#decoded += this.#open;
    this.#open = 0;
  }

  #replace(bytes: number): void {
    this.#open = 0;
    this.#decoded += REPLACEMENT_BYTES;
    this.#more += bytes - REPLACEMENT_BYTES;
    this.#replaced.push({ decoded: this.#decoded, more: this.#more });
  }
}

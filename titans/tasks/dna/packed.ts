/**
 * Nucleotides in half a byte each, as long genomes are kept: with what is needed to read them, a chromosome never takes
 * more memory than a byte per nucleotide, and half of that afterwards. Records end with a mark.
 */
import type { FileReading } from "../task.ts";
import { SequenceReader, type SequenceReaderOptions, type SequenceSink } from "./sequence_reader.ts";

/** Stands after each record. */
export const RECORD_END = 15;

const BLOCK = 2 ** 20;

/** Packs records. */
class Packer implements SequenceSink {
  readonly #blocks: Uint8Array<ArrayBuffer>[] = [];
  #block = new Uint8Array(0);
  #at = 0;
  /** The first of two; -1 if there is none. */
  #half = -1;

  begin(): void {}

  tokens(tokens: Uint8Array): void {
    let i = 0;
    if (this.#half >= 0 && tokens.length > 0) this.#put(this.#half | tokens[i++] << 4);
    for (; i + 1 < tokens.length; i += 2) this.#put(tokens[i] | tokens[i + 1] << 4);
    if (tokens.length > 0) this.#half = i < tokens.length ? tokens[i] : -1;
  }

  end(): void {
    this.tokens(Uint8Array.of(RECORD_END));
  }

  /** All of it in one array. */
  whole(): Uint8Array<ArrayBuffer> {
    // An odd number is made even by a record without nucleotides.
    if (this.#half >= 0) this.tokens(Uint8Array.of(RECORD_END));
    const full = this.#blocks.slice(0, -1), last = this.#block.subarray(0, this.#at);
    const whole = new Uint8Array(full.length * BLOCK + last.length);
    [...full, last].forEach((block, i) => whole.set(block, i * BLOCK));
    return whole;
  }

  #put(pair: number): void {
    if (this.#at === this.#block.length) {
      this.#block = new Uint8Array(BLOCK);
      this.#blocks.push(this.#block);
      this.#at = 0;
    }
    this.#block[this.#at++] = pair;
  }
}

/** Packs the sequences of a file while it is read. */
export function packing(name: string, options: SequenceReaderOptions): FileReading {
  const packer = new Packer(), reader = new SequenceReader(name, packer, options);
  return {
    add: (piece) => reader.add(piece),
    end: () => {
      reader.end();
      return packer.whole();
    },
  };
}

/** Tokens, and marks, at a place and after it. */
export function unpack(packed: Uint8Array, at: number, into: Uint8Array | Int32Array): void {
  for (let i = 0; i < into.length; i++) {
    const place = at + i;
    into[i] = packed[place >> 1] >> ((place & 1) << 2) & 15;
  }
}

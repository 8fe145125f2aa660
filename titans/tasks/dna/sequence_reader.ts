/**
 * Reads FASTA and FASTQ as it arrives, in pieces of any size: no file and no record is ever held as text.
 *
 * FASTA: a line that begins with `>` starts a record, whose identifier goes up to the first white space; the lines after
 * it are joined. FASTQ: four lines to a record, the sequence in the second, its qualities in the fourth; lines are
 * counted, since a line of qualities may begin with `@`. Lines end with LF, CR LF or CR.
 */
import { ConfigError } from "../../errors.ts";
import { GrowingBytes } from "../../text/growing_bytes.ts";
import { BLANK, NO_NUCLEOTIDE, shownByte, TOKEN_OF_BYTE, UNKNOWN } from "./nucleotides.ts";

/** Receives records. */
export interface SequenceSink {
  /** A record begins. @param line Of its header, from 1. */
  begin(id: string, line: number): void;
  /** Tokens of its sequence; the array is used again after the call. */
  tokens(tokens: Uint8Array): void;
  /** The record is complete. */
  end(): void;
}

/** Options of {@link SequenceReader}. */
export interface SequenceReaderOptions {
  /** Nucleotides of FASTQ whose quality (Phred, from 33 on) is lower are read as N. Default: 0, none. */
  readonly minQuality?: number;
}

const LF = 10, CR = 13, GREATER = 62, AT = 64, PLUS = 43, FIRST_QUALITY = 33, LAST_QUALITY = 126;
const MARK = [0xef, 0xbb, 0xbf];

/** A parser of one of the formats. */
interface Format {
  /** Takes a part of a line, which may be all of it. */
  part(bytes: Uint8Array): void;
  /** The line is complete. */
  endLine(): void;
  /** The file is complete. */
  end(): void;
}

/** Splits a file into lines and gives them, part by part, to the parser of its format. */
export class SequenceReader {
  /** The number of the current line. */
  line = 1;
  readonly #sink: SequenceSink;
  readonly #minQuality: number;
  #format: Format | undefined;
  /** Whether the last byte was a CR, whose LF is still to come. */
  #afterCr = false;
  /** Whether the current line has bytes. */
  #isOpen = false;
  #bytes = 0;

  /** @param name Of the file, for messages. */
  constructor(readonly name: string, sink: SequenceSink, { minQuality = 0 }: SequenceReaderOptions = {}) {
    this.#sink = sink;
    this.#minQuality = minQuality;
  }

  /** Reads on. @throws {ConfigError} naming file and line of what cannot be read. */
  add(piece: Uint8Array): void {
    let start = 0;
    for (let i = 0; i < piece.length; i++) {
      const byte = piece[i];
      if (byte !== LF && byte !== CR) {
        this.#afterCr = false;
        continue;
      }
      const isSecond = byte === LF && this.#afterCr;
      this.#afterCr = byte === CR;
      if (!isSecond) {
        this.#part(piece.subarray(start, i));
        this.#format?.endLine();
        this.#isOpen = false;
        this.line++;
      }
      start = i + 1;
    }
    this.#part(piece.subarray(start));
  }

  /** The file is complete. @throws {ConfigError} if it ends within a record, or has none. */
  end(): void {
    if (!this.#format) throw this.refusal("it has no sequences: FASTA begins with >, FASTQ with @");
    if (this.#isOpen) this.#format.endLine();
    this.#format.end();
  }

  /** The error of a line. */
  refusal(reason: string, line: number = this.line): ConfigError {
    return new ConfigError(`Cannot use ${this.name}: line ${line}: ${reason}`, "data");
  }

  #part(bytes: Uint8Array): void {
    let rest = bytes;
    if (!this.#format) {
      // White space before the first record, and a byte order mark, mean nothing.
      let skipped = 0;
      while (
        skipped < rest.length &&
        (TOKEN_OF_BYTE[rest[skipped]] === BLANK || (this.#bytes < MARK.length && rest[skipped] === MARK[this.#bytes]))
      ) {
        skipped++;
        this.#bytes++;
      }
      rest = rest.subarray(skipped);
      if (rest.length === 0) return;
      if (rest[0] === GREATER) this.#format = new Fasta(this, this.#sink);
      else if (rest[0] === AT) this.#format = new Fastq(this, this.#sink, this.#minQuality);
      else {
        throw this.refusal(`it begins with ${shownByte(rest[0])}: FASTA begins with >, FASTQ with @`);
      }
    }
    if (rest.length === 0) return;
    this.#isOpen = true;
    this.#format.part(rest);
  }
}

/** The text of a header up to the first white space. */
function identifierOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).trim().split(/\s/, 1)[0];
}

/** Tokens of a part of a line, in an array that is used again. */
class Letters {
  #tokens = new Uint8Array(0);

  of(bytes: Uint8Array, reader: SequenceReader): Uint8Array {
    if (this.#tokens.length < bytes.length) this.#tokens = new Uint8Array(bytes.length);
    const tokens = this.#tokens;
    let count = 0;
    for (let i = 0; i < bytes.length; i++) {
      const token = TOKEN_OF_BYTE[bytes[i]];
      if (token === BLANK) continue;
      if (token === NO_NUCLEOTIDE) throw reader.refusal(`${shownByte(bytes[i])} is no nucleotide`);
      tokens[count++] = token;
    }
    return tokens.subarray(0, count);
  }
}

class Fasta implements Format {
  readonly #header = new GrowingBytes();
  readonly #letters = new Letters();
  #inHeader = false;
  #atStart = true;
  /** The line of the record's header; 0 before the first. */
  #record = 0;
  #length = 0;
  #id = "";

  constructor(readonly reader: SequenceReader, readonly sink: SequenceSink) {}

  part(bytes: Uint8Array): void {
    let rest = bytes;
    if (this.#atStart && rest.length > 0) {
      this.#atStart = false;
      if (rest[0] === GREATER) {
        this.#close();
        this.#inHeader = true;
        rest = rest.subarray(1);
      }
    }
    if (this.#inHeader) this.#header.add(rest);
    else {
      const tokens = this.#letters.of(rest, this.reader);
      this.#length += tokens.length;
      this.sink.tokens(tokens);
    }
  }

  endLine(): void {
    this.#atStart = true;
    if (!this.#inHeader) return;
    this.#inHeader = false;
    this.#id = identifierOf(this.#header.bytes);
    this.#header.drop(this.#header.bytes.length);
    this.#record = this.reader.line;
    this.#length = 0;
    this.sink.begin(this.#id, this.#record);
  }

  end(): void {
    this.#close();
  }

  #close(): void {
    if (this.#record === 0) return;
    if (this.#length === 0) {
      throw this.reader.refusal(`the record ${JSON.stringify(this.#id)} has no sequence`, this.#record);
    }
    this.sink.end();
    this.#record = 0;
  }
}

class Fastq implements Format {
  readonly #header = new GrowingBytes();
  readonly #sequence = new GrowingBytes();
  readonly #letters = new Letters();
  /** Which of the four lines of a record, and how much of it was read. */
  #row = 0;
  #read = 0;

  constructor(readonly reader: SequenceReader, readonly sink: SequenceSink, readonly minQuality: number) {}

  part(bytes: Uint8Array): void {
    if (this.#row === 0) this.#header.add(bytes);
    else if (this.#row === 1) this.#sequence.add(this.#letters.of(bytes, this.reader));
    else if (this.#row === 2) this.#expect(bytes, PLUS, "+, as the third line of a record of FASTQ does");
    else this.#qualities(bytes);
    if (this.#row === 0) this.#expect(bytes, AT, "@, as a record of FASTQ does");
    this.#read += bytes.length;
  }

  endLine(): void {
    const isBlank = this.#row === 0 && this.#read === 0;
    if (isBlank) return;
    const { length } = this.#sequence.bytes, read = this.#read;
    this.#read = 0;
    if (this.#row === 1 && length === 0) throw this.reader.refusal("the record has no sequence");
    if (this.#row === 2 && read === 0) throw this.reader.refusal("it is empty where a record of FASTQ has its +");
    if (this.#row === 3 && read !== length) {
      throw this.reader.refusal(`it has ${read} qualities, the sequence has ${length} nucleotides`);
    }
    if (this.#row < 3) {
      this.#row++;
      return;
    }
    this.sink.begin(identifierOf(this.#header.bytes.subarray(1)), this.reader.line - 3);
    this.sink.tokens(this.#sequence.bytes);
    this.sink.end();
    this.#header.drop(this.#header.bytes.length);
    this.#sequence.drop(length);
    this.#row = 0;
  }

  end(): void {
    if (this.#row > 0) throw this.reader.refusal(`the file ends within a record, after ${this.#row} of its 4 lines`);
  }

  #expect(bytes: Uint8Array, first: number, what: string): void {
    if (this.#read === 0 && bytes.length > 0 && bytes[0] !== first) {
      throw this.reader.refusal(`it begins with ${shownByte(bytes[0])}, not with ${what}`);
    }
  }

  #qualities(bytes: Uint8Array): void {
    const sequence = this.#sequence.bytes;
    for (let i = 0; i < bytes.length; i++) {
      if (bytes[i] < FIRST_QUALITY || bytes[i] > LAST_QUALITY) {
        throw this.reader.refusal(`${shownByte(bytes[i])} is no quality`);
      }
      const at = this.#read + i;
      if (at < sequence.length && bytes[i] - FIRST_QUALITY < this.minQuality) sequence[at] = UNKNOWN;
    }
  }
}

/** A record. */
export interface SequenceRecord {
  /** Its identifier. */
  readonly id: string;
  /** Its tokens. */
  readonly tokens: Uint8Array;
}

/** Collects records, for files of which all records are needed by themselves. */
export class SequenceRecords implements SequenceSink {
  /** Those that are complete. */
  readonly records: SequenceRecord[] = [];
  readonly #open = new GrowingBytes();
  #id = "";

  begin(id: string): void {
    this.#id = id;
  }

  tokens(tokens: Uint8Array): void {
    this.#open.add(tokens);
  }

  end(): void {
    this.records.push({ id: this.#id, tokens: this.#open.bytes.slice() });
    this.#open.drop(this.#open.bytes.length);
  }
}

/** The records of a file that is in memory. @throws {ConfigError} naming the line that cannot be read. */
export function sequencesOf(
  { name, bytes }: { readonly name: string; readonly bytes: Uint8Array },
  options: SequenceReaderOptions = {},
): readonly SequenceRecord[] {
  const sink = new SequenceRecords(), reader = new SequenceReader(name, sink, options);
  reader.add(bytes);
  reader.end();
  return sink.records;
}

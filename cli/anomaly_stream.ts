/** Lines of a stream on their way through the memory, in batches: memory use does not depend on how many there are. */
import { CsvParser, type CsvRow } from "../titans/text/csv_parser.ts";
import {
  addFields,
  addWords,
  type Field,
  type FieldScales,
  LineRows,
  recordFields,
  rowFields,
} from "./anomaly_lines.ts";
import { LINES, type WatchingMemory } from "./anomaly_memory.ts";
import { decodeUtf8, LineSplitter } from "./data/lines.ts";
import { UsageError } from "./errors.ts";

/** What a stream is made of. */
export type StreamFormat = "log" | "csv" | "jsonl";

/** A line with its score. */
export interface ScoredLine {
  /** Counted from 1. */
  readonly line: number;
  /** How wrong the memory was about it. */
  readonly score: number;
  /** The line itself. */
  readonly text: () => string;
}

// Lines are shown, and kept, up to this length.
const SHOWN_BYTES = 4096;

const DECODER = new TextDecoder();

/** A line or record that waits for its score. */
interface Pending {
  readonly line: number;
  readonly bytes: Uint8Array;
}

/** Reads a stream. */
export class AnomalyStream {
  readonly #memory: WatchingMemory;
  readonly #rows = new LineRows(LINES);
  readonly #scales: FieldScales;
  readonly #take: (scored: readonly ScoredLine[]) => void;
  readonly #format: StreamFormat;
  readonly #path: string;
  #pending: Pending[] = [];
  #line = 0;
  #names: readonly string[] | undefined;

  /**
   * @param take Receives lines with their scores, in order.
   * @param scales Of the numbers of records, which clean lines teach.
   */
  constructor(
    memory: WatchingMemory,
    { format, path, scales, take }: {
      readonly format: StreamFormat;
      /** For messages. */
      readonly path: string;
      readonly scales: FieldScales;
      readonly take: (scored: readonly ScoredLine[]) => void;
    },
  ) {
    this.#memory = memory;
    this.#format = format;
    this.#path = path;
    this.#scales = scales;
    this.#take = take;
  }

  /** Reads all pieces of a stream, and says how many bytes they had. */
  async read(pieces: AsyncIterable<Uint8Array>, progress?: (bytes: number, lines: number) => void): Promise<number> {
    let bytes = 0;
    const add = this.#format === "csv" ? this.#csvReader() : this.#lineReader();
    for await (const piece of pieces) {
      bytes += piece.length;
      await add(piece);
      progress?.(bytes, this.#line);
    }
    await add(undefined);
    await this.#flush();
    return bytes;
  }

  #lineReader(): (piece: Uint8Array | undefined) => Promise<void> {
    const lines = new LineSplitter(this.#path);
    return async (piece) => {
      const found = piece ? lines.next(piece) : lines.end();
      for (const line of found) {
        if (!piece && line.length === 0) continue;
        this.#line++;
        if (this.#format === "log") addWords(this.#rows, line);
        else addFields(this.#rows, this.#recordOf(line), this.#scales);
        await this.#push(line);
      }
    };
  }

  #recordOf(line: Uint8Array): Field[] {
    const text = decodeUtf8(line);
    if (text?.trim() === "") return [];
    try {
      return recordFields(JSON.parse(text!));
    } catch {
      throw new UsageError(`${this.#path} line ${this.#line} is no JSON: give --format log to read it as text`);
    }
  }

  #csvReader(): (piece: Uint8Array | undefined) => Promise<void> {
    const parser = new CsvParser(",".charCodeAt(0), this.#path);
    return async (piece) => {
      for (const row of piece ? parser.next(piece) : parser.end()) await this.#row(row);
    };
  }

  async #row({ line, fields, fault }: CsvRow): Promise<void> {
    if (fault !== undefined) throw new UsageError(`${this.#path} is not valid CSV: line ${line} ${fault}`);
    const texts = fields.map((field) => DECODER.decode(field));
    this.#line = line;
    if (this.#names === undefined) return void (this.#names = texts);
    addFields(this.#rows, rowFields(this.#names, texts), this.#scales);
    await this.#push(new TextEncoder().encode(texts.join(",")));
  }

  /** Ends a row; its bytes are copied, since what they are in is used again. */
  async #push(bytes: Uint8Array): Promise<void> {
    this.#rows.end();
    this.#pending.push({ line: this.#line, bytes: bytes.slice(0, SHOWN_BYTES) });
    if (this.#rows.count === LINES) await this.#flush();
  }

  async #flush(): Promise<void> {
    if (this.#pending.length === 0) return;
    const scores = await this.#memory.read({ keys: this.#rows.keys, values: this.#rows.values });
    const scored = this.#pending.map(({ line, bytes }, i): ScoredLine => ({
      line,
      score: scores[i],
      text: () => DECODER.decode(bytes),
    }));
    this.#pending = [];
    this.#rows.clear();
    this.#take(scored);
  }
}

/** Learns the scales of the numbers of clean records; of a log there are none. */
export function learnScales(
  bytes: Uint8Array,
  { format, path, scales }: { readonly format: StreamFormat; readonly path: string; readonly scales: FieldScales },
): void {
  const learn = (fields: readonly Field[]): void => {
    for (const [name, value] of fields) if (typeof value === "number") scales.learn(name, value);
  };
  if (format === "log") return;
  if (format === "csv") {
    const parser = new CsvParser(",".charCodeAt(0), path);
    let names: string[] | undefined;
    for (const { fields, fault } of [...parser.next(bytes), ...parser.end()]) {
      const texts = fields.map((field) => DECODER.decode(field));
      if (names === undefined) names = texts;
      else if (fault === undefined) learn(rowFields(names, texts));
    }
    return;
  }
  for (const line of DECODER.decode(bytes).split("\n")) {
    try {
      if (line.trim() !== "") learn(recordFields(JSON.parse(line)));
    } catch {
      // The line is refused, by its number, when it is read.
    }
  }
}

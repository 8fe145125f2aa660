/** Files of records and tables, and what files are by their first bytes. */
import { parquetWriteBuffer } from "hyparquet-writer";
import { gzipSync } from "node:zlib";
import { contentOf, type FileFormat, HEAD_BYTES } from "../../../cli/data/content.ts";
import { readCsv } from "../../../cli/data/csv.ts";
import { readJsonl } from "../../../cli/data/jsonl.ts";
import { readParquetBuffer } from "../../../cli/data/parquet.ts";
import { fromUtf16, gunzip } from "../../../cli/data/read_file.ts";
import { FORMATS } from "../../../cli/data/recipe.ts";
import { RowTally } from "../../../cli/data/rows.ts";
import { letters } from "../mutate.ts";
import type { Random } from "../random.ts";
import type { ByteReader } from "../reader.ts";
import { json, jsonText } from "./json.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const PIECE = 1000;

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE) yield await Promise.resolve(bytes.slice(at, at + PIECE));
}

async function drain(texts: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of texts);
}

/** What depends on the input decides, so that an input alone says how it is read. */
const skips = (bytes: Uint8Array): RowTally => new RowTally(bytes.length % 2 === 0);

const JSONL = [
  encode('{"text":"one","id":1}\n{"text":"two","id":2}\r\n\n{"text":null}\n{"text":"naïve 🎉\\n"}'),
  encode('{"text":""}\r{"text":"a"}'),
];

function jsonl(random: Random): Uint8Array {
  const line = (): string =>
    random.oneIn(3) ? jsonText(random) : JSON.stringify({ text: random.oneIn(3) ? json(random) : "some text" });
  return encode(Array.from({ length: random.below(6) }, line).join(random.pick(["\n", "\r\n", "\r", "\n\n"])));
}

const CSV = [
  encode('id,text\n1,one\n2,"two, ""quoted""\nlines"\n\n3,naïve\n'),
  encode('\ufefftext;id\r\n"a";1\r\n'),
  encode("text\r\na\rb\r"),
];

function csv(random: Random): Uint8Array {
  const parts = ["text", "a", ",", ",", ";", '"', '""', "\n", "\r\n", "\r", " ", "\t", "é", "\xff", "\0"];
  return letters(Array.from({ length: random.below(60) }, () => random.pick(parts)).join(""));
}

type Column = Parameters<typeof parquetWriteBuffer>[0]["columnData"][number];

function parquet(
  columns: readonly Column[],
  options: { codec?: "SNAPPY" | "UNCOMPRESSED"; rowGroupSize?: number } = {},
): Uint8Array {
  return new Uint8Array(parquetWriteBuffer({ columnData: [...columns], ...options }));
}

const WORDS = Array.from({ length: 40 }, (_, i) => `word ${i % 5} naïve`);
const NULLS = WORDS.map((word, i) => i % 3 === 0 ? null : word);
const text = (data: (string | null)[], more: Partial<Column> = {}): Column => ({
  name: "text",
  data,
  type: "STRING",
  nullable: true,
  ...more,
});
const id: Column = { name: "id", data: WORDS.map((_, i) => i), type: "INT32" };

const PARQUET = [
  parquet([text(WORDS), id], { codec: "UNCOMPRESSED" }),
  parquet([text(NULLS), id], { codec: "SNAPPY", rowGroupSize: 9 }),
  parquet([text(WORDS.map((word, i) => `${word} ${i}`), { nullable: false, encoding: "PLAIN" })], {
    codec: "UNCOMPRESSED",
  }),
  parquet([text(NULLS, { encoding: "DELTA_LENGTH_BYTE_ARRAY" })], { codec: "UNCOMPRESSED" }),
  parquet([text(WORDS, { encoding: "DELTA_BYTE_ARRAY" })], { codec: "UNCOMPRESSED" }),
];

/** Files of another program, by the path of this module: other pages, and every codec. */
const FIXTURES = new URL("../../fixtures/parquet/", import.meta.url);
for (const { name } of Array.from(Deno.readDirSync(FIXTURES)).sort((a, b) => a.name < b.name ? -1 : 1)) {
  PARQUET.push(Deno.readFileSync(new URL(name, FIXTURES)));
}

async function readParquet(bytes: Uint8Array): Promise<void> {
  const file = {
    byteLength: bytes.length,
    slice: (start: number, end?: number) => Promise.resolve(bytes.slice(start, end).buffer as ArrayBuffer),
  };
  await drain(
    readParquetBuffer(file, "x.parquet", {
      field: bytes.length % 3 === 0 ? "{id}: {text}" : "text",
      tally: skips(bytes),
    }),
  );
}

const NAMED: readonly (FileFormat | undefined)[] = [undefined, "text", "jsonl", "csv", "tsv", "parquet"];

/** The readers. */
export const RECORD_READERS: readonly ByteReader[] = [
  {
    name: "jsonl",
    weight: 25,
    seeds: JSONL,
    grammar: jsonl,
    read: (bytes) => drain(readJsonl(pieces(bytes), "x.jsonl", "text", skips(bytes))),
  },
  {
    name: "csv",
    weight: 25,
    seeds: CSV,
    grammar: csv,
    read: (bytes) =>
      drain(
        readCsv(pieces(bytes), "x.csv", "text", {
          separator: bytes.length % 3 === 0 ? ";" : ",",
          header: bytes.length % 5 > 0,
          tally: skips(bytes),
        }),
      ),
  },
  { name: "parquet", weight: 12, seeds: PARQUET, read: readParquet },
  {
    name: "gzip",
    weight: 3,
    seeds: [new Uint8Array(gzipSync("some text ".repeat(50))), new Uint8Array(gzipSync(new Uint8Array(2 ** 20)))],
    read: (bytes) => drain(gunzip(pieces(bytes), "x.gz", "--data")),
  },
  {
    name: "utf16",
    weight: 8,
    seeds: [letters("\xff\xfea\0b\0\n\0=\xd8\x89\xdf"), letters("\xfe\xff\0a\0b")],
    read: (bytes) => drain(fromUtf16(pieces(bytes), bytes[0] === 0xfe ? "utf-16be" : "utf-16le", "x.txt")),
  },
  {
    name: "content",
    weight: 20,
    seeds: [
      ...JSONL,
      ...CSV,
      ...PARQUET,
      new Uint8Array(gzipSync('{"text":"a"}\n')),
      letters("PK\x03\x04"),
      letters("[1, 2]"),
      letters("{\n}"),
      letters("a\0b\0c\0d\0e\0"),
    ],
    read: (bytes) => {
      const n = bytes.length, path = ["-", "x", "x.json", "x.txt"][n % 4];
      contentOf(bytes.subarray(0, HEAD_BYTES), {
        path,
        asked: FORMATS[n % FORMATS.length],
        named: NAMED[n % NAMED.length],
        isStream: n % 4 === 0,
      });
    },
  },
];

/** Files for the tests of data: packed, as tables, and read in pieces of any size. */
import { parquetWriteBuffer } from "hyparquet-writer";
import type { DocumentPiece } from "../../../cli/data/documents.ts";

/** Bytes packed with gzip. */
export async function pack(contents: string | Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(
    await new Response(new Blob([contents]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer(),
  );
}

/** A Parquet file with a column of texts and one of numbers. */
export function parquetBytes(
  texts: readonly (string | null)[],
  options: { codec?: "SNAPPY" | "UNCOMPRESSED"; rowGroupSize?: number } = {},
): Uint8Array {
  return new Uint8Array(parquetWriteBuffer({
    columnData: [
      { name: "text", data: [...texts], type: "STRING", nullable: true },
      { name: "id", data: texts.map((_, i) => i), type: "INT32" },
    ],
    ...options,
  }));
}

/** A text as a stream in pieces of some bytes. */
export async function* inPieces(text: string | Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.slice(at, at + size));
}

/** Pieces of one document. */
export async function* asDocument(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<DocumentPiece> {
  let starts = true;
  for await (const bytes of pieces) {
    yield { bytes, starts };
    starts = false;
  }
}

/** The bytes of documents. */
export async function* bytesOf(pieces: AsyncIterable<DocumentPiece>): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of pieces) yield bytes;
}

/** All of a stream as text. */
export async function textOf(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  return new TextDecoder().decode(Uint8Array.from((await Array.fromAsync(pieces)).flatMap((piece) => [...piece])));
}

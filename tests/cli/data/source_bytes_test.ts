import { assertEquals } from "@std/assert";
import { SourceBytes } from "../../../cli/data/source_bytes.ts";

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

/**
 * For each whole letter of a decoded text, its end there and in the bytes that it came from, found by decoding more and
 * more of these.
 */
function ends(bytes: Uint8Array): Map<number, number> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true }), found = new Map<number, number>();
  const length = (text: string): number => new TextEncoder().encode(text).length;
  const whole = length(decoder.decode(bytes));
  for (let count = 0; count <= bytes.length; count++) {
    // A letter ends where what comes before and what comes after decode to the whole.
    const before = length(decoder.decode(bytes.subarray(0, count))),
      after = length(decoder.decode(bytes.subarray(count)));
    if (before + after === whole && !found.has(before)) found.set(before, count);
  }
  return found;
}

Deno.test("source bytes: places in decoded text are found in any bytes, as the decoder replaces what is no UTF-8", async () => {
  const samples = ["plain", "größe", "日本🙂", "\ufeffx"].map((text) => new TextEncoder().encode(text));
  const odd = [
    [0xff],
    [0xc3],
    [0xe2, 0x82],
    [0xed, 0xa0, 0x80],
    [0xf0, 0x9f, 0x99],
    [0xf4, 0x90, 0x80, 0x80],
    [0xc0, 0x80],
    [0x80],
    [0xe0, 0x9f, 0xbf],
    [
      0xf5,
      0x41,
    ],
  ];
  let state = 1;
  const next = (bound: number): number => (state = state * 48271 % 2147483647) % bound;
  for (let round = 0; round < 300; round++) {
    const parts = Array.from(
      { length: 1 + next(8) },
      () => next(2) ? samples[next(samples.length)] : Uint8Array.from(odd[next(odd.length)]),
    );
    const bytes = Uint8Array.from(parts.flatMap((part) => [...part])), source = new SourceBytes();
    for await (const _ of source.through(inPieces(bytes, 1 + next(5))));
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    assertEquals(source.before(new TextEncoder().encode(text).length), bytes.length, "all of it");
    for (const [decoded, count] of ends(bytes)) {
      // Bytes that begin a letter and do not end it are one replacement or several; only where both agree is there one
      // place.
      const tail = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(0, count));
      if (text.startsWith(tail) && new TextEncoder().encode(tail).length === decoded) {
        assertEquals(source.before(decoded), count, `${bytes} at ${decoded}`);
      }
    }
  }
});

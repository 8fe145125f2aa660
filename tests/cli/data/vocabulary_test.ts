import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { judgePairs, predictedOf } from "../../../cli/data/baseline.ts";
import { StopText } from "../../../cli/data/stop_text.ts";
import { TokenEncoder } from "../../../cli/data/token_encoder.ts";
import {
  BYTES,
  bytesOfTokens,
  notedVocabulary,
  openVocabulary,
  TokenDecoder,
  VOCABULARIES,
  vocabularyNote,
} from "../../../cli/data/vocabulary.ts";
import { UsageError } from "../../../cli/errors.ts";
import { BigramModel, NgramModel, SampleRandom, tokenSource } from "../../../titans/mod.ts";
import { someText } from "../run_main.ts";
import { inPieces } from "./data_files.ts";

const TEXT = "The people of naïve Привет 🎉🎉 <|endoftext|>\n\n  they're\t1234567 here.\n";

Deno.test("vocabulary: every one gives the text back, byte for byte, and its ids fit", async () => {
  for (const name of VOCABULARIES) {
    const vocabulary = await openVocabulary(name);
    const ids = Array.from(vocabulary.encode(TEXT));
    assertEquals(new TextDecoder().decode(bytesOfTokens(vocabulary, ids)), TEXT, name);
    assert(ids.every((id) => Number.isInteger(id) && id >= 0 && id < vocabulary.size), name);
    assert(vocabulary.size <= 256 ** vocabulary.idBytes, name);
    const decoder = new TokenDecoder(vocabulary);
    const pieces = [...ids.map((id) => decoder.next(id)), decoder.end()];
    assertEquals(pieces.join(""), TEXT, name);
    assert(pieces.every((piece) => !piece.includes("\ufffd")), `${name}: letters appear when they are whole`);
  }
});

Deno.test("vocabulary: whatever tokens a model chooses, each piece that is written is well-formed, and the whole is their bytes", () => {
  const random = new SampleRandom(1, "tokens");
  for (let round = 0; round < 50; round++) {
    // Bytes of all kinds, but more than their share begin, or continue, a character of several bytes.
    const ids = Array.from(
      { length: 60 },
      () => [0x41, 0xef, 0xbb, 0xbf, 0xf0, 0x9f, 0x8e, 0x89, random.integer(256)][random.integer(9)],
    );
    const decoder = new TokenDecoder(BYTES), stop = new StopText(["\u{1f389}\u{1f389}"]);
    const pieces = [...ids.map((id) => decoder.next(id)), decoder.end()];
    assertEquals(pieces.join(""), new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(ids)));
    const written = [...pieces.map((piece) => stop.next(piece)), stop.end()];
    assert([...pieces, ...written].every((piece) => piece.isWellFormed()), ids.join());
  }
  const decoder = new TokenDecoder(BYTES);
  assertEquals([0xef, 0xbb, 0xbf, 0x41].map((id) => decoder.next(id)), ["", "", "\ufeff", "A"]);
});

Deno.test("vocabulary: ids are those of the published encodings", async () => {
  // "hello world" in GPT-2's, GPT-4's and GPT-4o's encodings.
  const known = { "bpe:gpt2": [31373, 995], "bpe:cl100k": [15339, 1917], "bpe:o200k": [24912, 2375] };
  for (const [name, ids] of Object.entries(known)) {
    assertEquals(Array.from((await openVocabulary(name)).encode("hello world")), ids, name);
  }
  assertEquals((await openVocabulary("bpe:gpt2")).size, 50256);
});

Deno.test("vocabulary: checkpoints note the ones that are not bytes", async () => {
  const gpt2 = await openVocabulary("bpe:gpt2");
  assertEquals([vocabularyNote(BYTES), vocabularyNote(gpt2)], [{}, { vocabulary: "bpe:gpt2" }]);
  // Of tasks, those whose tokens are bytes say so.
  assertEquals((await notedVocabulary({ task: "{}", vocabulary: "bytes" })).name, "bytes");
  await assertRejects(() => notedVocabulary({ task: "{}" }), UsageError, "was trained on a task, not on text");
  assertEquals([(await notedVocabulary()).name, (await notedVocabulary(vocabularyNote(gpt2))).name], [
    "bytes",
    "bpe:gpt2",
  ]);
  await assertRejects(
    () => openVocabulary("bpe:gpt3"),
    UsageError,
    'there is no vocabulary "bpe:gpt3": choose one of bytes, bpe:gpt2',
  );
});

Deno.test("vocabulary: a text is encoded alike in whatever pieces it comes, and almost as if at once", async () => {
  const vocabulary = await openVocabulary("bpe:gpt2"), text = `${someText(150_000)}${TEXT}`.repeat(2);
  const encode = async (size: number): Promise<Uint8Array> => {
    const encoder = new TokenEncoder(vocabulary), parts: number[] = [];
    for await (const piece of inPieces(text, size)) parts.push(...encoder.next(piece));
    return Uint8Array.from([...parts, ...encoder.end()]);
  };
  const whole = await encode(2 ** 20);
  assertEquals(await encode(4099), whole);
  const ids = Array.from({ length: whole.length / 2 }, (_, i) => whole[2 * i] + 256 * whole[2 * i + 1]);
  assertEquals(new TextDecoder().decode(bytesOfTokens(vocabulary, ids)), text);
  assert(ids.length - vocabulary.encode(text).length <= 8, "stretches cost few tokens");
});

Deno.test("vocabulary: a text without line ends is encoded in stretches too", async () => {
  const encoder = new TokenEncoder(await openVocabulary("bpe:gpt2")),
    text = "ACGGT🎉C".repeat(180_000),
    parts: Uint8Array[] = [];
  for await (const piece of inPieces(text, 2 ** 18)) parts.push(encoder.next(piece));
  const before = parts.reduce((sum, part) => sum + part.length, 0);
  assert(before > 0, "something is sure before the end");
  parts.push(encoder.end());
  const ids = parts.flatMap((part) =>
    Array.from({ length: part.length / 2 }, (_, i) => part[2 * i] + 256 * part[2 * i + 1])
  );
  assertEquals(new TextDecoder().decode(bytesOfTokens(await openVocabulary("bpe:gpt2"), ids)), text);
});

Deno.test("baseline: of bytes it is the bigram model, with a 5-gram model beside it, over several texts in pieces", () => {
  const text = new TextEncoder().encode(someText(200_000)),
    windows = Int32Array.from(new TextEncoder().encode(someText(99).slice(0, 68)));
  const model = new BigramModel(text), contexts = new NgramModel(4), judged = { tokens: windows, length: 16 };
  contexts.count(text);
  const { fivegramBitsPerByte, ...pairs } = judgePairs([tokenSource(text)], judged, BYTES);
  assertEquals(pairs, { tokens: 64, bytes: 64, bitsPerByte: model.bitsPerByte(windows, 16) });
  // Windows of 17 bytes, of which each knows its own bytes alone. Where two pieces of the text meet, one byte is context.
  const alone = [0, 17, 34, 51].map((at) => contexts.bitsPerByte(windows.slice(at, at + 17)));
  assertAlmostEquals(fivegramBitsPerByte!, alone.reduce((sum, bits) => sum + bits) / 4, 1e-3);
});

Deno.test("baseline: padding at the end of a window is not judged, in bytes as in tokens", async () => {
  const tokens = Int32Array.of(1, 2, 3, 0, 0, 2, 1, 0, 0, 0), mask = Float32Array.of(1, 1, 0, 0, 1, 0, 0, 0);
  const judged = predictedOf([{ tokens, mask }, { tokens: Int32Array.of(3, 1, 2, 3, 1) }], 4);
  assertEquals([Array.from(judged.counts!), judged.tokens.length], [[2, 1, 4], 15]);
  const text = [tokenSource(Int32Array.from({ length: 500 }, (_, i) => 1 + (i * i) % 3))];
  for (const vocabulary of [BYTES, await openVocabulary("bpe:gpt2")]) {
    const one = (...pair: number[]): number => {
      const { bytes, bitsPerByte } = judgePairs(text, { tokens: Int32Array.from(pair), length: 1 }, vocabulary);
      return bytes * bitsPerByte;
    };
    const { tokens: count, bytes, bitsPerByte } = judgePairs(text, judged, vocabulary);
    assertEquals(count, 7);
    const pairs = [[1, 2], [2, 3], [2, 1], [3, 1], [1, 2], [2, 3], [3, 1]];
    assertAlmostEquals(bytes * bitsPerByte, pairs.reduce((sum, pair) => sum + one(...pair), 0), 1e-9);
  }
});

Deno.test("baseline: of tokens it counts pairs, and a pair that was never seen costs what its second token does", async () => {
  const vocabulary = await openVocabulary("bpe:gpt2");
  // Token 1 follows 0 and 0 follows 1, a thousand times each; 2 is never seen.
  const text = tokenSource(Int32Array.from({ length: 2001 }, (_, i) => i % 2));
  const bits = (previous: number, next: number): number => {
    const { bytes, bitsPerByte } = judgePairs([text], { tokens: Int32Array.of(previous, next), length: 1 }, vocabulary);
    return bytes * bitsPerByte;
  };
  const alone = (count: number): number => (count + 1) / (2000 + 50256);
  assertEquals(bits(0, 1).toFixed(9), (-Math.log2((1000 + 200 * alone(1000)) / 1200)).toFixed(9));
  assertEquals(bits(2, 0).toFixed(9), (-Math.log2(alone(1000))).toFixed(9));
  assertEquals(bits(0, 2).toFixed(9), (-Math.log2(200 * alone(0) / 1200)).toFixed(9));
});

Deno.test("stop strings end a text wherever tokens are cut, and hold back only what may begin one", () => {
  const run = (stops: string[], pieces: string[]): string[] => {
    const text = new StopText(stops), shown = pieces.map((piece) => text.next(piece));
    return [...shown, text.end(), text.ended ? "ended" : "open"];
  };
  assertEquals(run(["END"], ["a", "bE", "N", "c", "E", "NDx", "y"]), ["a", "b", "", "ENc", "", "", "", "", "ended"]);
  assertEquals(run(["aab"], ["aaa", "b"]), ["a", "", "", "ended"]);
  assertEquals(run(["zz", "."], ["one", ". two zz"]), ["one", "", "", "ended"]);
  assertEquals(run(["END"], ["an E"]), ["an ", "E", "open"]);
  assertEquals(run([], ["a", "b"]), ["a", "b", "", "open"]);
});

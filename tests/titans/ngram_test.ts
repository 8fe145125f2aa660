/** Byte n-grams: hand-checked probabilities, and the tables of real texts to the digits that are known. */
import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { ConfigError, NgramModel } from "../../titans/mod.ts";
import { readData, withData } from "./data_folder.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("n-grams: interpolated by Witten and Bell, as worked out by hand", () => {
  const uniform = new NgramModel(3);
  assertEquals(uniform.bitsPerByte(bytes("the cat")), 8);
  const zero = new NgramModel(0);
  zero.count(bytes("aab"));
  const of = (model: NgramModel, text: string, order?: number) =>
    model.probability(bytes(text), bytes(text).length - 1, order);
  assertAlmostEquals(of(zero, "a"), 0.4015625, 1e-12);
  assertAlmostEquals(of(zero, "c"), 0.0015625, 1e-12);
  // "aab" with contexts of one byte: after "a" one "a" and one "b", so p(a | a) = (1 + 2 p(a)) / 4, p(c | a) = 2 p(c) / 4.
  const one = new NgramModel(1);
  one.count(bytes("aab"));
  assertAlmostEquals(of(one, "aa"), (1 + 2 * 0.4015625) / 4, 1e-12);
  assertAlmostEquals(of(one, "ac"), 0.0015625 / 2, 1e-12);
  assertAlmostEquals(of(one, "xa"), 0.4015625, 1e-12, "a context that was never seen is skipped");
  assertAlmostEquals(of(one, "aa", 0), 0.4015625, 1e-12);
  assertEquals([one.mostLikely(bytes("b")), one.mostLikely(bytes("")), uniform.mostLikely(bytes("ab"))], [97, 97, 0]);
  let sum = 0;
  for (let byte = 0; byte < 256; byte++) sum += one.probability(Uint8Array.of(97, byte), 1);
  assertAlmostEquals(sum, 1, 1e-12);
  // In two pieces, the second with the context of the first.
  const text = bytes("a rose is a rose is a rose"), whole = new NgramModel(4), pieces = new NgramModel(4);
  whole.count(text);
  pieces.count(text.subarray(0, 11));
  pieces.count(text, 11);
  assertEquals(pieces.bitsPerByte(bytes("is a rose")), whole.bitsPerByte(bytes("is a rose")));
  assertThrows(() => new NgramModel(1.5), ConfigError, "contexts of up to 1.5 bytes: give a whole number");
});

withData("n-grams: bits per byte of tinyshakespeare and WikiText-2 by length of context", async () => {
  const shakespeare = await readData("text/tinyshakespeare.txt"), split = 1_003_854;
  const sets = [
    [shakespeare.subarray(0, split), shakespeare.subarray(split), [4.829, 3.586, 2.956, 2.559, 2.408, 2.45]],
    [
      await readData("text/wikitext-2.valid.txt"),
      await readData("text/wikitext-2.test.txt"),
      [4.609, 3.364, 2.729, 2.247, 2.022, 2.012],
    ],
  ] as const;
  for (const [train, test, expected] of sets) {
    const model = new NgramModel(5);
    model.count(train);
    assertEquals(expected.map((_, order) => Math.round(1000 * model.bitsPerByte(test, order)) / 1000), [...expected]);
  }
});

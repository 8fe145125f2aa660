import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { BigramModel } from "../../titans/text/bigram.ts";
import { evenWindows, MixedWindows, RandomWindows, splitText, type TokenSource } from "../../titans/text/windows.ts";
import { ConfigError } from "../../titans/errors.ts";
import { HostRng } from "../../titans/nn/host_rng.ts";
import { threefry } from "../../titans/nn/threefry.ts";

const text = Uint8Array.from({ length: 100 }, (_, i) => i);

Deno.test("the end of a text is held out", () => {
  const { train, heldOut } = splitText(text);
  assertEquals([train.length, heldOut.length, train[94], heldOut[0]], [95, 5, 94, 95]);
});

Deno.test("random windows depend on seed and step only, and reach the whole text", () => {
  const shape = { batch: 3, length: 4, accumulate: 2 };
  const windows = new RandomWindows(text, shape, 1);
  assertEquals(windows.batch(5), new RandomWindows(text, shape, 1).batch(5));
  assert(String(windows.batch(5)) !== String(windows.batch(6)));
  assert(String(windows.batch(5)) !== String(new RandomWindows(text, shape, 2).batch(5)));
  const seen = new Set<number>();
  for (let step = 0; step < 200; step++) {
    const batch = windows.batch(step);
    assertEquals(batch.length, 2 * 3 * 5);
    for (let i = 0; i < batch.length; i++) {
      seen.add(batch[i]);
      if (i % 5 > 0) assertEquals(batch[i], batch[i - 1] + 1);
    }
  }
  assertEquals(seen.size, 100);
  assertThrows(
    () => new RandomWindows(text.subarray(0, 4), shape, 1),
    ConfigError,
    "windows of 4 tokens from a text of 4: it needs at least 5",
  );
});

Deno.test("even windows cover a text in order, or a part of it evenly", () => {
  assertEquals(Array.from(evenWindows(text.subarray(0, 11), 5, 9)), [0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10]);
  assertEquals(Array.from(evenWindows(text, 9, 2)), [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    45,
    46,
    47,
    48,
    49,
    50,
    51,
    52,
    53,
    54,
  ]);
});

Deno.test("the bigram model counts pairs, adds one, and predicts each window's bytes after its first", () => {
  const model = new BigramModel(new TextEncoder().encode("ababac"));
  const [a, b, c] = [97, 98, 99];
  assertAlmostEquals(model.probability(a, b), 3 / (3 + 256), 1e-12);
  assertAlmostEquals(model.probability(a, c), 2 / (3 + 256), 1e-12);
  assertAlmostEquals(model.probability(c, a), 1 / 256, 1e-12);
  const bits = (previous: number, next: number): number => -Math.log2(model.probability(previous, next));
  assertAlmostEquals(model.bitsPerByte([a, b, a]), (bits(a, b) + bits(b, a)) / 2, 1e-12);
  assertAlmostEquals(model.bitsPerByte([a, b, c, a], 1), (bits(a, b) + bits(c, a)) / 2, 1e-12);
  let total = 0;
  for (let next = 0; next < 256; next++) total += model.probability(a, next);
  assertAlmostEquals(total, 1, 1e-12);
});

Deno.test("host random numbers are those of Threefry, uniform and normal, and independent of order", () => {
  // Known answers of Random123's Threefry-2x32-20.
  assertEquals(threefry([0, 0], [0, 0]), [0x6b200159, 0x99ba4efe]);
  assertEquals(threefry([0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff]), [0x1cb996fc, 0xbb002be7]);
  assertEquals(threefry([0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3]), [0xc4923a9c, 0x483df7a0]);
  const rng = new HostRng(3, "test"), count = 20000;
  let sum = 0, squares = 0, uniform = 0;
  for (let n = 0; n < count; n++) {
    const x = rng.normal(n);
    sum += x;
    squares += x * x;
    uniform += rng.uniform(n);
  }
  assert(Math.abs(sum / count) < 0.03);
  assert(Math.abs(squares / count - 1) < 0.03);
  assert(Math.abs(uniform / count - 0.5) < 0.01);
  assertEquals(rng.uniform(2 ** 40), new HostRng(3, "test").uniform(2 ** 40));
  assert(rng.uniform(1) !== new HostRng(3, "other").uniform(1));
});

Deno.test("initial weights of a seed are the same to the last bit: many normal numbers at once are those of one by one", () => {
  const rng = new HostRng(3, "test"), weights = new Float32Array(2 ** 18);
  rng.fillNormal(weights, 0.125);
  // As version 0.1.0 drew them.
  const words = new Uint32Array(weights.buffer);
  assertEquals(words.reduce((hash, word) => Math.imul(hash ^ word, 0x01000193), 0x811c9dc5) >>> 0, 0xe9084840);
  // Also where f32 is subnormal, where it overflows, and for what is not a number.
  for (const deviation of [1, -0.3, 1e-44, 1e-300, 2e38, 1e300, 0, NaN]) {
    const values = new Float32Array(2 ** 17), expected = new Float32Array(values.length);
    rng.fillNormal(values, deviation);
    for (let n = 0; n < values.length; n++) expected[n] = deviation * rng.normal(n);
    assertEquals(new Uint32Array(values.buffer), new Uint32Array(expected.buffer), `${deviation}`);
  }
});

Deno.test("normal numbers are the same where WebAssembly is forbidden", async () => {
  const { Module } = WebAssembly, weights = new Float32Array(10_001), expected = new Float32Array(weights.length);
  new HostRng(5, 7).fillNormal(expected, 0.02);
  const { HostRng: Alone } = await import("../../titans/nn/host_rng.ts?alone");
  let asked = 0;
  const Forbidden = class {
    constructor() {
      asked++;
      throw new Error("forbidden");
    }
  };
  Object.assign(WebAssembly, { Module: Forbidden });
  try {
    new Alone(5, 7).fillNormal(weights, 0.02);
  } finally {
    Object.assign(WebAssembly, { Module });
  }
  assertEquals([weights, asked], [expected, 1]);
});

/** The numbers from `first` on, as a source. */
function numbers(first: number, length: number): TokenSource {
  return {
    length,
    read: (start, into) => {
      assert(start >= 0 && start + into.length <= length, `${start} + ${into.length} of ${length}`);
      for (let i = 0; i < into.length; i++) into[i] = first + start + i;
    },
  };
}

Deno.test("windows of a source are those of the same text in memory", () => {
  const shape = { batch: 3, length: 4 };
  assertEquals(new RandomWindows(numbers(0, 100), shape, 1).batch(5), new RandomWindows(text, shape, 1).batch(5));
  assertEquals(evenWindows(numbers(0, 100), 9, 2), evenWindows(text, 9, 2));
});

Deno.test("mixed windows take each text by size and weight, reach all of it, and span no two", () => {
  const texts = [{ text: numbers(0, 24) }, { text: numbers(1000, 44), weight: 0.5 }, {
    text: numbers(2000, 14),
    weight: 3,
  }];
  const windows = new MixedWindows(texts, { batch: 10, length: 4 }, 1), seen = new Map<number, number>();
  for (let step = 0; step < 600; step++) {
    const batch = windows.batch(step);
    for (let row = 0; row < 10; row++) {
      for (let i = 1; i < 5; i++) assertEquals(batch[row * 5 + i], batch[row * 5 + i - 1] + 1);
      seen.set(batch[row * 5], (seen.get(batch[row * 5]) ?? 0) + 1);
    }
  }
  // 20, 40 and 10 places; each is taken in proportion to its weight, of which there are 20 + 20 + 30 = 70.
  assertEquals(seen.size, 70);
  for (const [start, count] of seen) {
    const expected = 6000 * (start < 1000 ? 1 : start < 2000 ? 0.5 : 3) / 70;
    assert(Math.abs(count - expected) < 5 * Math.sqrt(expected), `${start}: ${count} of ${expected}`);
  }
  assertThrows(() => new MixedWindows([], { batch: 1, length: 4 }, 1), ConfigError, "from no text");
  assertThrows(
    () => new MixedWindows([{ text }, { text: numbers(0, 4) }], { batch: 1, length: 4 }, 1),
    ConfigError,
    "from a text of 4",
  );
  assertThrows(
    () => new MixedWindows([{ text, weight: 0 }], { batch: 1, length: 4 }, 1),
    ConfigError,
    "with a weight of 0: it must be above 0",
  );
});

Deno.test("even windows of several sources are spread over all of them, none over two", () => {
  const sources = [numbers(0, 11), numbers(100, 3), numbers(200, 6)];
  assertEquals(Array.from(evenWindows(sources, 5, 9)), [
    0,
    1,
    2,
    3,
    4,
    5,
    5,
    6,
    7,
    8,
    9,
    10,
    200,
    201,
    202,
    203,
    204,
    205,
  ]);
  assertEquals(Array.from(evenWindows(sources, 5, 2)), [0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10]);
  assertThrows(() => evenWindows([numbers(0, 5)], 5, 1), ConfigError, "from a text of 5: it needs at least 6");
});

Deno.test("the bigram model counts a text in pieces that share a byte like the whole", () => {
  const bytes = Uint8Array.from({ length: 500 }, (_, i) => (i * i) % 7),
    whole = new BigramModel(bytes),
    pieces = new BigramModel(new Uint8Array(0));
  for (let at = 0; at < 500; at += 100) pieces.count(bytes.subarray(Math.max(0, at - 1), at + 100));
  for (let a = 0; a < 8; a++) {
    for (let b = 0; b < 8; b++) assertEquals(pieces.probability(a, b), whole.probability(a, b));
  }
});

/** Fixed damaged inputs for everything that reads bytes, and that the fuzzer finds what it is for. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { UsageError } from "../../cli/errors.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";
import { type ByteReader, faultOf, inputOf, kindOf, minimise, verdictOn } from "./reader.ts";
import { READERS } from "./readers.ts";
import { watch } from "./watch.ts";

// About ten seconds in all; deno task fuzz:bytes goes on where these end.
const INPUTS = 6000, WEIGHT = READERS.reduce((sum, { weight }) => sum + weight, 0);

for (const reader of READERS) {
  Deno.test(`fuzz: ${reader.name} takes damaged and made-up bytes to a result or to one line`, async () => {
    for (const seed of reader.seeds) assertEquals(await verdictOn(reader, seed), undefined, "a valid file");
    const count = Math.max(10, Math.round(INPUTS * reader.weight / WEIGHT));
    for (let index = 0; index < count; index++) {
      assertEquals(await verdictOn(reader, inputOf(reader, 0, index)), undefined, `input ${index}`);
    }
  });
}

Deno.test("fuzz: what a user should not see is found", async () => {
  assertMatch(faultOf(new TypeError("x is not a function"))!, /^not one of ours: TypeError: x is not a function/);
  assertMatch(faultOf("a text")!, /^not one of ours: a text/);
  assertEquals(faultOf(new UsageError("no file a.txt: give another")), undefined);
  assertEquals(
    faultOf(Object.assign(new UsageError("x"), { message: "two\nlines" }))?.startsWith(
      "a message with the control character 10",
    ),
    true,
  );
  assertMatch(
    faultOf(Object.assign(new UsageError("x"), { message: "x".repeat(5000) }))!,
    /^a message of 5000 letters/,
  );
  assertEquals(faultOf(new UsageError(" ")), "an empty message");
  const slow = await verdictOn(
    { read: () => new Promise((resolve) => setTimeout(resolve, 60)) },
    new Uint8Array(0),
    50,
  );
  assertMatch(slow!, /^slow: \d+ ms/);
});

Deno.test("fuzz: errors quote what they were given as one line that can be read", () => {
  for (
    const part of [
      "\n",
      "\r\n",
      "\u001b[31m",
      "\u2028",
      "\u0085",
      "\ud800",
      "\u202e",
      "x".repeat(1e6),
      "\u0001".repeat(1e5),
    ]
  ) {
    const { message } = new UsageError(`cannot read ${part}: give another file`);
    assertEquals(faultOf(new UsageError(message)), undefined);
    assert(message.startsWith("cannot read ") && message.endsWith(": give another file"), message);
  }
});

Deno.test("fuzz: an input is the same for the same numbers, and mutations differ", () => {
  const [reader] = READERS, seen = new Set<string>();
  for (let index = 0; index < 300; index++) {
    const bytes = inputOf(reader, 5, index);
    assertEquals(inputOf(reader, 5, index), bytes);
    seen.add(String(bytes));
  }
  assert(seen.size > 200, `${seen.size} different inputs`);
  for (let index = 0; index < 300; index++) {
    assert(mutate(new Uint8Array(0), new Random(0, index), [new Uint8Array(0)]).length <= 2 ** 16);
  }
});

Deno.test("fuzz: a failing input is made small", async () => {
  const reader: ByteReader = {
    name: "planted",
    weight: 1,
    seeds: [],
    read: (bytes) => {
      if (bytes.includes(7) && bytes.includes(9)) throw new RangeError(`of ${bytes.length} bytes`);
    },
  };
  const bytes = Uint8Array.from({ length: 500 }, (_, i) => i % 100), verdict = await verdictOn(reader, bytes);
  assertEquals(kindOf(verdict!).startsWith("not one of ours: RangeError: of N bytes"), true);
  assertEquals([...await minimise(reader, bytes, verdict!)].sort(), [7, 9]);
});

Deno.test("fuzz: a hang and a crash are named, and what comes behind them is read", async () => {
  // Nothing gives a sign of life within a millisecond.
  const hung = await watch({ reader: "field", seed: 0, from: 0, to: 2 }, 1);
  assertEquals(hung.failures.map(({ index, verdict }) => [index, verdict]), [[0, "hangs for more than 1 ms"], [
    1,
    "hangs for more than 1 ms",
  ]]);
  const crashed = await watch({ reader: "no such reader", seed: 0, from: 0, to: 1 });
  assertEquals(crashed.failures.length, 1);
  assertMatch(crashed.failures[0].verdict, /^ends the process \(1\): /);
  assertEquals((await watch({ reader: "field", seed: 0, from: 0, to: 50 })).failures, []);
});

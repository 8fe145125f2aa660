/** Language modelling of long texts: what was worked out by hand, a uniform model, and one that copies. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import {
  asTextModel,
  ConfigError,
  type ContinuationScore,
  type Scorer,
  type TaskFile,
  taskFiles,
} from "../../titans/mod.ts";
import { positionBuckets, resetBlocks, rollingBlocks, streamingBlocks } from "../../titans/tasks/language/blocks.ts";
import { language } from "../../titans/tasks/language/language.ts";
import { type OptionRecord, resolveOptions } from "../../titans/options/option_table.ts";
import { textFile } from "./task_cases.ts";

const LN256 = Math.log(256);

/** A model that knows how likely a byte is from all bytes before it that it has read. */
function scorer(lnProbability: (before: readonly number[], byte: number) => number): Scorer {
  return {
    score: (requests, progress) =>
      Promise.resolve(requests.map(({ context, continuations }) => {
        progress?.(1);
        return continuations.map((continuation): ContinuationScore => {
          const read = Array.from(context), each = new Float32Array(continuation.length);
          for (let i = 0; i < continuation.length; i++) {
            each[i] = lnProbability(read, continuation[i]);
            read.push(continuation[i]);
          }
          const logLikelihood = each.reduce((sum, value) => sum + value, 0);
          return { logLikelihood, each, best: new Int32Array(each.length), greedy: false };
        });
      })),
  };
}

const uniform = scorer(() => -LN256);

async function figures(file: TaskFile, model: Scorer, options: OptionRecord = {}): Promise<Record<string, number>> {
  const all = resolveOptions("language", language.options, { data: "text", ...options });
  const benchmark = language.create(all, taskFiles({ text: [file] }));
  let expected = 0, done = 0;
  const scores = await benchmark.evaluate({
    text: asTextModel(model),
    samples: 8,
    batch: 4,
    expect: (count) => void (expected += count),
    advance: (count) => void (done += count),
    cell: (_, measure) => measure(),
  });
  assertEquals(done, expected, "progress ends where it was said to");
  return Object.fromEntries(scores.map(({ name, value }) => [name, value]));
}

Deno.test("language: windows are cut as worked out by hand, and every token but the first is scored once", () => {
  // Ten tokens after a beginning, four at a time: B012 gives 0123, 3456 gives 4567, 5678 gives 8 and 9 alone.
  assertEquals(rollingBlocks(11, 4), [
    { from: 0, scoredFrom: 1, to: 5 },
    { from: 4, scoredFrom: 5, to: 9 },
    { from: 6, scoredFrom: 9, to: 11 },
  ]);
  assertEquals(resetBlocks(11, 4).at(-1), { from: 8, scoredFrom: 9, to: 11 });
  for (let length = 0; length < 40; length++) {
    for (const window of [1, 3, 8, 64]) {
      for (const blocks of [rollingBlocks(length, window), resetBlocks(length, window), streamingBlocks(length)]) {
        const scored = blocks.flatMap(({ scoredFrom, to }) =>
          Array.from({ length: to - scoredFrom }, (_, i) => scoredFrom + i)
        );
        assertEquals(scored, Array.from({ length: Math.max(0, length - 1) }, (_, i) => i + 1));
        assert(blocks.every(({ from, scoredFrom }) => from >= 0 && from < scoredFrom));
      }
      const rolling = rollingBlocks(length, window);
      assert(rolling.every(({ from, to }) => to - from - 1 === Math.min(window, length - 1)), "each is a full window");
    }
  }
  assertEquals(positionBuckets(10), [{ from: 1, to: 2 }, { from: 2, to: 4 }, { from: 4, to: 8 }, { from: 8, to: 10 }]);
});

Deno.test("language: a uniform model has 8 bits a byte, in every way of reading", async () => {
  for (const reading of ["streaming", "rolling", "reset"]) {
    const found = await figures(textFile("cat.txt", "\nthe cat"), uniform, { reading, window: 3 });
    assertAlmostEquals(found[`bitsPerByte, ${reading}`], 8, 1e-6);
    assertAlmostEquals(found[`bytePerplexity, ${reading}`], 256, 1e-4);
    // Seven bytes and two words: 2 ** 28; windows cut words, and each part counts.
    if (reading === "streaming") assertAlmostEquals(found["wordPerplexity, streaming"] / 2 ** 28, 1, 1e-5);
  }
});

Deno.test("language: a model that copies gains where a text repeats itself, and no context is worth less to it", async () => {
  let state = 7;
  const block = Array.from({ length: 1024 }, () => (state = (state * 48271) % 2147483647) & 0xff);
  const bytes = Uint8Array.from({ length: 8192 }, (_, i) => block[i % 1024]);
  /** Knows every byte that it has read 1,024 bytes before. */
  const copier = scorer((before) => before.length >= 1024 ? 0 : -LN256);
  const model = { ...asTextModel(copier), encode: () => bytes };
  const options = { data: "text", most: 2, positions: 8192, contexts: "0,512,1024,4096", span: 64 };
  const benchmark = language.create(
    resolveOptions("language", language.options, options),
    taskFiles({ text: [textFile("a", "")] }),
  );
  const none = {
    samples: 4,
    batch: 1,
    expect: () => {},
    advance: () => {},
    cell: (_: string, measure: () => Promise<readonly never[]>) => measure(),
  };
  const scores = await benchmark.evaluate({ ...none, text: model } as never);
  const of = (name: string): number => scores.find((score) => score.name === name)!.value;
  assertAlmostEquals(of("memoryGain"), LN256, 1e-5);
  assertAlmostEquals(of("nats, position 512"), LN256, 1e-5);
  assertAlmostEquals(of("nats, position 1024"), 0, 1e-5);
  assertEquals(
    ["0", "512", "1024", "4096"].map((c) => of(`bitsPerByte, context ${c}`)).map((v) => Math.round(v * 1e4) / 1e4),
    [8, 8, 0, 0],
  );
});

Deno.test("language: texts that are too short are refused with their length", async () => {
  const file = textFile("short.txt", "abc");
  await assertRejects(() => figures(file, uniform, { positions: 64 }), ConfigError, "the longest has 3");
  await assertRejects(() => figures(textFile("one.txt", "a"), uniform), ConfigError, "none has two tokens");
  await assertRejects(() => figures(file, uniform, { contexts: "1,x" }), ConfigError, 'Cannot use contexts "1,x"');
});

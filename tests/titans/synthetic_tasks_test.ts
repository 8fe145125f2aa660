/** Synthetic tasks of recall, copying and states: examples done by hand, guessing, simple answers, other lengths. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { type Device, requestDevice } from "../../kernels/mod.ts";
import {
  type BatchArrays,
  ConfigError,
  defineConfig,
  evaluateTask,
  HostRng,
  Model,
  type TaskInstance,
  type TokenBatch,
} from "../../titans/mod.ts";
import { taskOf, TASKS } from "../../titans/tasks/mod.ts";
import { type OptionRecord, resolveOptions } from "../../titans/options/option_table.ts";
import { cyclic, permutationGroup, permutations, statesOf } from "../../titans/tasks/state_tracking/groups.ts";
import { TINY } from "./builders.ts";
import { instancesOf } from "./task_cases.ts";

type Tokens = BatchArrays<TokenBatch> & Readonly<Record<"tokens" | "targets", Int32Array>>;

const make = (name: string, options: OptionRecord = {}): TaskInstance => {
  const task = taskOf(name);
  return task.create(resolveOptions(name, task.options, options));
};
const rowsOf = (task: TaskInstance, rows: number, split: "train" | "test" = "test"): Tokens =>
  task.batches(split, rows, 0).batch(0) as unknown as Tokens;
/** The answers that count, by position. */
const answersOf = ({ targets, mask }: Tokens, row: number, length: number): (number | undefined)[] =>
  Array.from({ length }, (_, t) => mask[row * length + t] > 0 ? targets[row * length + t] : undefined);

for (const name of Object.keys(TASKS)) {
  Deno.test(`task ${name}: guessing among the answers is right as often as chance says, and floors lie below the oracle`, () => {
    for (const task of instancesOf(name)) {
      const { accuracy: chance } = task.chance ?? {}, data = rowsOf(task, 400);
      if (chance !== undefined && "mask" in data) {
        const counted = Array.from(data.targets).filter((_, i) => data.mask[i] > 0);
        const possible = [...new Set(counted)], rng = new HostRng(5);
        const right = counted.filter((answer, i) => answer === possible[rng.integer(i, possible.length)]).length;
        const error = Math.sqrt(chance * (1 - chance) / counted.length);
        assertAlmostEquals(right / counted.length, chance, 4.5 * error, `${counted.length} guesses`);
      }
      for (const [floor, scores] of Object.entries(task.floors?.(100) ?? {})) {
        for (const { name, value, count, standardError } of scores) {
          if (!name.startsWith("accuracy")) continue;
          assert(value < 0.9 && value >= 0, `${floor}: ${value}`);
          assertAlmostEquals(standardError!, Math.sqrt(value * (1 - value) / count!));
        }
      }
    }
  });

  Deno.test(`task ${name}: its presets can be made`, () => {
    const { presets = {}, options, reads = [] } = taskOf(name);
    for (const [preset, values] of Object.entries(presets)) {
      const complete = resolveOptions(preset, options, values);
      if (reads.every((option) => (complete as OptionRecord)[option] === "")) {
        assert(make(name, complete as OptionRecord).length > 0);
      }
    }
  });
}

Deno.test("mqar: keys, values and questions stand where the definition puts them", () => {
  // Without fill: 2 pairs, 6 slots, as in "2 8 4 7 0 0 4 0 0 0 0 0 2 0 0 0" with labels 7 at 6 and 8 at 12.
  const task = make("mqar", { vocabulary: 12, loads: "16x2", testLoads: "16x2", fill: false }), data = rowsOf(task, 50);
  assertEquals(mqarAnswers([2, 8, 4, 7, 0, 0, 4, 0, 0, 0, 0, 0, 2, 0, 0, 0]), { 6: 7, 12: 8 });
  const slots = new Set<number>();
  for (let row = 0; row < 50; row++) {
    const tokens = [...data.tokens.subarray(16 * row, 16 * row + 16)], answers = answersOf(data, row, 16);
    const [k1, v1, k2, v2] = tokens;
    for (const key of [k1, k2]) assert(key >= 1 && key <= 5);
    for (const value of [v1, v2]) assert(value >= 6 && value <= 11);
    assert(k1 !== k2 && v1 !== v2);
    const asked = answers.flatMap((answer, t) => answer === undefined ? [] : [t]);
    assertEquals(asked.length, 2);
    for (const t of asked) {
      assert(t >= 4 && t % 2 === 0);
      slots.add((t - 4) / 2);
      assertEquals(answers[t], tokens[t] === k1 ? v1 : v2);
    }
    assertEquals(tokens.filter((token) => token === 0).length, 10);
  }
  assertEquals(slots.size, 6, "every slot is asked in");

  function mqarAnswers(tokens: readonly number[]): Record<number, number> {
    const logits = task.oracle!({ tokens: Int32Array.from(tokens) } as unknown as BatchArrays),
      found: Record<number, number> = {};
    for (const t of [6, 12]) found[t] = logits.subarray(12 * t, 12 * t + 12).indexOf(100);
    return found;
  }
});

Deno.test("mqar: gaps follow the power law, and loads come as often as they say", () => {
  // One pair in 8 slots: p(i) is proportional to i^(-0.99).
  const data = rowsOf(make("mqar", { vocabulary: 8, loads: "18x1", testLoads: "18x1", fill: false }), 4000),
    counts = new Int32Array(8);
  for (let row = 0; row < 4000; row++) {
    counts[(answersOf(data, row, 18).findIndex((answer) => answer !== undefined) - 2) / 2]++;
  }
  const weights = Array.from(counts, (_, i) => (i + 1) ** -0.99), all = weights.reduce((a, b) => a + b);
  counts.forEach((count, i) => assertAlmostEquals(count / 4000, weights[i] / all, 0.03, `slot ${i}`));
  const mixed = rowsOf(make("mqar", { vocabulary: 32, loads: "16x2:3,32x8", testLoads: "16x2" }), 800);
  const asked = Array.from(
    { length: 800 },
    (_, row) => answersOf(mixed, row, 32).filter((a) => a !== undefined).length,
  );
  assertEquals(new Set(asked), new Set([2, 8]));
  assertAlmostEquals(asked.filter((count) => count === 2).length / 800, 0.75, 0.07);
});

Deno.test("state tracking: products are those done by hand", () => {
  assertEquals(statesOf(cyclic(2, [0, 1]), [1, 0, 1, 1]), [1, 1, 0, 1]);
  assertEquals(statesOf(cyclic(5, [1, -1, 0]), [0, 0, 1, 2]), [1, 2, 1, 1]);
  const ranks = permutations(5).map((permutation) => permutation.join());
  const [swap, cycle] = ["1,0,2,3,4", "1,2,3,4,0"].map((text) => ranks.indexOf(text));
  assertEquals([swap, cycle], [24, 33]);
  assertEquals(statesOf(permutationGroup(5), [swap, cycle, swap]), [24, 57, 51]);
  assertEquals([ranks[57], ranks[51]], ["2,1,3,4,0", "2,0,3,4,1"]);
  const generated = permutationGroup(5, { generators: [[1, 0, 2, 3, 4], [1, 2, 3, 4, 0]] });
  assertEquals(statesOf(generated, [0, 1, 0]), [24, 57, 51]);
});

Deno.test("state tracking: groups have their order, and what generates them reaches all of it", () => {
  for (const [group, order] of [["parity", 2], ["mod5", 5], ["s3", 6], ["a5", 60], ["s5", 120]] as const) {
    for (const tokens of ["elements", "generators"]) {
      const data = rowsOf(make("stateTracking", { group, tokens, shortest: 60, length: 60 }), 200);
      assertEquals(new Set(data.targets).size, order, `${group} of ${tokens}`);
    }
  }
});

Deno.test("copying: letters, separator, letters; exact match counts whole strings", async () => {
  const task = make("copying", { letters: 3, shortest: 3, longest: 4, testCounts: "4,6" });
  const data = rowsOf(task, 20), row = [...data.tokens.subarray(0, 8)], count = row.indexOf(3);
  assertEquals(row.slice(count + 1, 2 * count), row.slice(0, count - 1));
  assertEquals(answersOf(data, 0, 8).slice(count, 2 * count), row.slice(0, count));
  assertEquals(answersOf(data, 0, 8).filter((answer) => answer !== undefined).length, count);
  const device = await requestDevice({ kind: "reference" });
  const scores = await evaluateTask(device, untrained(device, task, { samples: 4, batch: 2 }));
  const names = scores.map(({ name }) => name);
  for (const name of ["accuracy", "exactMatch", "accuracy, letters 4", "exactMatch, letters 6"]) {
    assert(names.includes(name), `${name} of ${names}`);
  }
  const exact = scores.find(({ name }) => name === "exactMatch, letters 6")!;
  assertEquals([exact.value, exact.count], [0, 4]);
  device.dispose();
});

Deno.test("induction: the answer is what followed the trigger, which occurs twice", () => {
  const data = rowsOf(make("induction", { length: 12 }), 200), places = new Set<number>();
  for (let row = 0; row < 200; row++) {
    const tokens = [...data.tokens.subarray(12 * row, 12 * row + 12)], at = tokens.indexOf(15);
    assertEquals(tokens.flatMap((token, t) => token === 15 ? [t] : []), [at, 11]);
    assertEquals(answersOf(data, row, 12), [...new Array(11).fill(undefined), tokens[at + 1]]);
    places.add(at);
  }
  assertEquals(places.size, 10, "anywhere but directly before the question");
});

Deno.test("mad: recall trains on every next token and is asked for values of keys seen before, noise or not", () => {
  const task = make("inContextRecall", { length: 16 }), data = rowsOf(task, 30), train = rowsOf(task, 30, "train");
  for (let row = 0; row < 30; row++) {
    const tokens = [...data.tokens.subarray(16 * row, 16 * row + 16)], answers = answersOf(data, row, 16);
    for (let t = 0; t < 16; t++) {
      const seen = t % 2 === 0 && tokens.slice(0, t).includes(tokens[t]);
      assertEquals(answers[t], seen ? tokens[t + 1] : undefined);
    }
    assert(answers[14] !== undefined, "the last key was seen");
    assertEquals(answersOf(train, row, 16), [...train.tokens.subarray(16 * row + 1, 16 * row + 16), undefined]);
  }
  const noisy = rowsOf(make("noisyInContextRecall", { length: 200, noise: 0.4 }), 50).tokens;
  assertAlmostEquals(noisy.filter((token) => token >= 16).length / noisy.length, 0.4 * 98 / 100, 0.03);
  // 40 rows of 10 examples are 10 rows four times.
  const few = rowsOf(make("inContextRecall", { length: 16, examples: 10 }), 40, "train").tokens;
  assertEquals(few.subarray(0, 160), few.subarray(160, 320));
});

Deno.test("mad: fuzzy keys have three tokens in tests, and rows are padded on the left", () => {
  const task = make("fuzzyInContextRecall", { length: 48 }), data = rowsOf(task, 60), train = rowsOf(task, 60, "train");
  const sizesOf = ({ tokens }: Tokens): Set<number> => {
    const texts = Array.from({ length: 60 }, (_, row) => [...tokens.subarray(48 * row, 48 * row + 48)]);
    const kinds = texts.map((text) => text.map((token) => token < 7 ? "k" : token < 15 ? "v" : ".").join(""));
    for (const kind of kinds) assert(/^\.*(k{1,3}v{1,3})+$/.test(kind), kind);
    return new Set(kinds.flatMap((kind) => kind.match(/k+/g)!.map((key) => key.length)));
  };
  assertEquals(sizesOf(data), new Set([3]));
  assertEquals(sizesOf(train), new Set([1, 2, 3]));
  // k1 k4 k2 v9 v8, another pair, and the first again: answers v9 at the key's last token, then v8.
  const tokens = Int32Array.from([...new Array(35).fill(15), 1, 4, 2, 9, 8, 3, 0, 1, 7, 1, 4, 2, 9]);
  const logits = task.oracle!({ tokens } as unknown as BatchArrays),
    said = (t: number) => logits.subarray(16 * t, 16 * t + 16).indexOf(100);
  assertEquals([said(46), said(47), said(37)], [9, 8, -1]);
});

Deno.test("mad: selective copying leaves out the blanks, memorisation keeps one map for all seeds", () => {
  const data = rowsOf(make("selectiveCopying", { length: 12, copied: 3 }), 40);
  for (let row = 0; row < 40; row++) {
    const tokens = [...data.tokens.subarray(12 * row, 12 * row + 12)], text = tokens.filter((token) => token < 14);
    assertEquals([text.length, tokens[8], ...tokens.slice(9)], [3, 15, 14, 14, 14]);
    assertEquals(answersOf(data, row, 12).slice(9), text);
  }
  const map = new Map<number, number>(), task = make("memorization");
  for (const split of ["train", "test"] as const) {
    const { tokens, targets, mask } = rowsOf(task, 300, split);
    mask.forEach((counts, t) => {
      if (counts === 0) return;
      assertEquals(map.get(tokens[t - 1]) ?? targets[t], targets[t]);
      map.set(tokens[t - 1], targets[t]);
    });
  }
  assertEquals([map.size, new Set(map.values()).size], [127, 127]);
});

Deno.test("evaluation at other lengths reads rows in pieces, to what one program of the whole row says", async () => {
  const device = await requestDevice({ kind: "cpu" });
  const options = { group: "s3", shortest: 40, length: 40 };
  const task = make("stateTracking", { ...options, testLengths: "8,40" });
  const scores = await evaluateTask(device, untrained(device, task, { samples: 24, batch: 8 }));
  const valueOf = (name: string) => scores.find((score) => score.name === name)!;
  const whole = valueOf("accuracy"), pieces = valueOf("accuracy, length 40");
  // Pieces of eight tokens carry their state on; the other program reads 40 at once.
  assertEquals([pieces.value, pieces.count, pieces.chance], [whole.value, 24 * 40, 1 / 6]);
  assert(pieces.value > 0.05 && pieces.value < 0.5);
  // Full attention holds so many tokens; longer rows are left out.
  const longer = make("stateTracking", { ...options, testLengths: "40,80" });
  const attention = untrained(device, longer, { samples: 8, batch: 8 }, { model: "attention", maxLength: 40 });
  const names = (await evaluateTask(device, attention)).map(({ name }) => name);
  assert(names.includes("accuracy, length 40") && !names.includes("accuracy, length 80"), `${names}`);
  device.dispose();
});

/** What is evaluated: a model as it is before training. */
function untrained(
  device: Device,
  task: TaskInstance,
  counts: { readonly samples: number; readonly batch: number },
  options: object = {},
) {
  const model = new Model(defineConfig({ ...TINY, model: "lmm", ...task.requires, ...options }));
  const params = device.upload(model.layout.pack(model.initialize(3)), { shape: [model.layout.size], dtype: "f32" });
  return { model, params, task, ...counts };
}

Deno.test("synthetic tasks: what cannot be is refused in one line", () => {
  const refused = (name: string, options: OptionRecord, message: string) =>
    assertThrows(() => make(name, options), ConfigError, message);
  refused("mqar", { loads: "64" }, `Cannot use loads "64": it must be LENGTHxPAIRS`);
  refused("mqar", { loads: "64x4:0" }, "LENGTHxPAIRS:TIMES");
  refused("mqar", { loads: "" }, "Cannot use an empty loads: give at least one");
  refused("mqar", { testLoads: "64x200" }, "pairs must be from 1 to 127, the keys of 256 tokens");
  refused("mqar", { loads: "12x4" }, "the length must be from 4 x 4 = 16 to");
  refused("induction", { testLengths: "64,abc" }, `"abc" must be an integer from 3 to`);
  refused("copying", { shortest: 9, longest: 8 }, "Cannot use shortest 9: it must be at most longest, 8");
  refused("stateTracking", { shortest: 50 }, "it must be at most length, 40");
  refused("inContextRecall", { length: 9 }, "Cannot use length 9: it must be an even number");
  refused("memorization", { length: 9 }, "Cannot use length 9: it must be an even number");
  refused("selectiveCopying", { length: 32 }, "it must be at least 2 x 16 + 1");
});

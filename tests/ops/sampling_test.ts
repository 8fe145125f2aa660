/** Random draws: distributions by their moments and by chi-square, with fixed keys. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { OptionError, ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/graph.ts";
import { erfOf } from "../../ops/erf.ts";
import * as ops from "../../ops/mod.ts";
import { array } from "../numeric.ts";
import { evaluate } from "../op_suites/evaluate.ts";

const COUNT = 40000;
const key = array([2], [7, 42], "u32");
const draw = (fn: (key: Tensor) => Tensor): number[] => [...evaluate(fn, [key], "sampling")[0].data];

/** How far counts are from what is expected, each in its own standard deviation, squared and summed. */
function chiSquare(counts: readonly number[], expected: readonly number[]): number {
  return counts.reduce((sum, count, i) => sum + (count - expected[i]) ** 2 / expected[i], 0);
}

/** How many values lie in each of so many bins from low to high. */
function histogram(values: readonly number[], bins: number, low: number, high: number): number[] {
  const counts = new Array<number>(bins).fill(0);
  for (const value of values) counts[Math.min(bins - 1, Math.floor((value - low) / (high - low) * bins))]++;
  return counts;
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

Deno.test("sampling: bernoulli is true as often as it should be", () => {
  for (const p of [0.02, 0.5, 0.9]) {
    assertAlmostEquals(mean(draw((k) => ops.bernoulli(k, [COUNT], { p }))), p, 4 * Math.sqrt(p * (1 - p) / COUNT));
  }
});

Deno.test("sampling: categorical draws classes with the probabilities of the softmax", () => {
  const weights = [1, 2, 3, 0, 4, 0.01], logits = weights.map((weight) => Math.log(weight) + 5);
  const drawn = draw((k) => ops.categorical(k, ops.constant(logits), { shape: [COUNT] }));
  const counts = weights.map((_, c) => drawn.filter((value) => value === c).length);
  assertEquals(counts[3], 0);
  const total = 10.01, present = [0, 1, 2, 4, 5];
  // With 4 degrees of freedom 99.9% of samples stay below 18.5.
  const value = chiSquare(present.map((c) => counts[c]), present.map((c) => weights[c] / total * COUNT));
  assert(value < 18.5, `chi-square ${value}`);
});

Deno.test("sampling: every place of a permutation gets every number equally often", () => {
  const n = 5, times = 1000, drawn: number[][] = [];
  const all = draw((k) =>
    ops.scan(
      (none: Tensor, i: Tensor): [Tensor, Tensor] => [none, ops.permutation(ops.foldIn(k, i), n)],
      ops.zeros([]),
      ops.arange(times),
    )[1]
  );
  for (let i = 0; i < times; i++) drawn.push(all.slice(i * n, (i + 1) * n));
  for (const order of drawn) assertEquals(order.toSorted(), [0, 1, 2, 3, 4]);
  const counts = Array.from(
    { length: n * n },
    (_, i) => drawn.filter((order) => order[Math.floor(i / n)] === i % n).length,
  );
  // With 16 degrees of freedom 99.9% of samples stay below 39.3.
  const value = chiSquare(counts, counts.map(() => times / n));
  assert(value < 39.3, `chi-square ${value}`);
  const first = new Set(drawn.map((order) => order.join())).size;
  assert(first > 115, `${first} of 120 orders occur`);
});

Deno.test("sampling: normal numbers that are cut off follow the normal distribution between their bounds", () => {
  for (const [low, high] of [[-2, 2], [0.5, 1], [2, 6], [-Infinity, -1], [-Infinity, Infinity]]) {
    const values = draw((k) => ops.truncatedNormal(k, [COUNT], { low, high }));
    assert(values.every((value) => value >= low && value <= high), `${low} .. ${high}`);
    const below = (x: number) => (1 + erfOf(x * Math.SQRT1_2)) / 2, share = below(high) - below(low);
    const [from, to] = [Math.max(low, -3), Math.min(high, 3)],
      edges = Array.from({ length: 13 }, (_, i) => from + (to - from) * i / 12);
    const expected = edges.slice(1).map((edge, i) => (below(edge) - below(edges[i])) / share * COUNT);
    const inside = values.filter((value) => value >= from && value <= to);
    const value = chiSquare(histogram(inside, 12, from, to), expected);
    // With 12 degrees of freedom 99.9% of samples stay below 32.9.
    assert(value < 32.9, `${low} .. ${high}: chi-square ${value}`);
  }
  assertThrows(() => draw((k) => ops.truncatedNormal(k, [1], { low: 5, high: 6 })), OptionError, "from 5 to 6");
  assertThrows(() => draw((k) => ops.truncatedNormal(k, [1], { low: 2, high: 1 })), OptionError, "from 2 to 1");
});

Deno.test("sampling: dropout keeps the mean, and rates outside 0 .. 1 are refused", () => {
  const kept = draw((k) => ops.dropout(k, ops.ones([COUNT]), { rate: 0.3 }));
  assertAlmostEquals(mean(kept), 1, 0.02);
  assertAlmostEquals(mean(kept.map((value) => Number(value === 0))), 0.3, 0.01);
  for (const rate of [-0.1, 1.5, NaN]) {
    assertThrows(() => draw((k) => ops.dropout(k, ops.ones([1]), { rate })), OptionError, `rate ${rate}`);
  }
});

Deno.test("sampling: keys that were split give streams of their own, and their own again when split again", () => {
  const streams = draw((k) => {
    const keys = [...ops.splitKey(k, 4), ...ops.splitKey(ops.splitKey(k)[0], 4)];
    return ops.stack(keys.map((each) => ops.randomBits(each, [50])));
  });
  assertEquals(new Set(streams).size, streams.length);
  assertThrows(() => draw((k) => ops.stack(ops.splitKey(k, 1.5))), ShapeError, "split a key");
});

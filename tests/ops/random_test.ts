/** Random numbers: the distribution, and what depends on what. */
import { assert, assertAlmostEquals, assertEquals, assertNotEquals } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import * as ops from "../../ops/mod.ts";
import { array } from "../numeric.ts";
import { evaluate } from "../op_suites/evaluate.ts";

const key = (high: number, low: number) => array([2], [high, low], "u32");
const draw = (fn: (key: Tensor) => Tensor, from = key(0, 42)): number[] => [...evaluate(fn, [from], "random")[0].data];

/** The first moments of a sample. */
function moments(values: readonly number[]): { mean: number; variance: number; skewness: number; kurtosis: number } {
  const central = (power: number, around: number) =>
    values.reduce((sum, value) => sum + (value - around) ** power, 0) / values.length;
  const mean = central(1, 0), variance = central(2, mean);
  return { mean, variance, skewness: central(3, mean) / variance ** 1.5, kurtosis: central(4, mean) / variance ** 2 };
}

const COUNT = 40000;

Deno.test("random: uniform numbers fill [0, 1) evenly", () => {
  const values = draw((k) => ops.uniform(k, [COUNT]));
  assert(values.every((value) => value >= 0 && value < 1 && value === Math.fround(value)));
  const { mean, variance, kurtosis } = moments(values);
  assertAlmostEquals(mean, 1 / 2, 0.01);
  assertAlmostEquals(variance, 1 / 12, 0.002);
  assertAlmostEquals(kurtosis, 1.8, 0.05);
  const bins = new Array<number>(16).fill(0);
  for (const value of values) bins[Math.floor(value * 16)]++;
  const expected = COUNT / 16, chiSquare = bins.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  // With 15 degrees of freedom 99.9% of samples stay below 37.7.
  assert(chiSquare < 37.7, `chi-square ${chiSquare}`);
});

Deno.test("random: normal numbers have the moments of the normal distribution", () => {
  const { mean, variance, skewness, kurtosis } = moments(draw((k) => ops.normal(k, [COUNT])));
  assertAlmostEquals(mean, 0, 0.02);
  assertAlmostEquals(variance, 1, 0.03);
  assertAlmostEquals(skewness, 0, 0.05);
  assertAlmostEquals(kurtosis, 3, 0.1);
});

Deno.test("random: bounds are respected", () => {
  assert(draw((k) => ops.uniform(k, [1000], { low: -3, high: 5 })).every((value) => value >= -3 && value < 5));
});

Deno.test("random: the same key gives the same numbers, whatever the shape", () => {
  assertEquals(draw((k) => ops.randomBits(k, [12])), draw((k) => ops.randomBits(k, [3, 4])));
  assertEquals(draw((k) => ops.randomBits(k, [12])).slice(0, 5), draw((k) => ops.randomBits(k, [5])));
});

Deno.test("random: keys, and numbers folded into them, give streams of their own", () => {
  const streams = [
    draw((k) => ops.randomBits(k, [8])),
    draw((k) => ops.randomBits(k, [8]), key(0, 43)),
    draw((k) => ops.randomBits(k, [8]), key(1, 42)),
    draw((k) => ops.randomBits(ops.foldIn(k, 0), [8])),
    draw((k) => ops.randomBits(ops.foldIn(k, 1), [8])),
  ];
  const all = streams.flat();
  assertEquals(new Set(all).size, all.length);
  assertNotEquals(streams[0], streams[1]);
});

Deno.test("random: neighbours are uncorrelated", () => {
  const values = draw((k) => ops.uniform(k, [COUNT])).map((value) => value - 0.5);
  for (const lag of [1, 2, 64]) {
    const correlation = values.slice(lag).reduce((sum, value, i) => sum + value * values[i], 0) / (COUNT / 12);
    assertAlmostEquals(correlation, 0, 0.025);
  }
});

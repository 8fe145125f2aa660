import { assert, assertEquals } from "@std/assert";
import {
  formatNumber,
  legend,
  type Letter,
  Letters,
  levelOf,
  LEVELS,
  scaleOf,
  Strip,
  visible,
} from "../../cli/strip.ts";
import { Passages, RunningFigures } from "../../cli/trace_summary.ts";

const SCALE = { low: 0, high: 8 };

function letters(text: string, values: readonly number[]): Letter[] {
  const reader = new Letters(), bytes = new TextEncoder().encode(text);
  return [...Array.from(bytes).flatMap((byte, i) => reader.next(byte, values[i] ?? 0, i)), ...reader.end()];
}

Deno.test("strip: bytes become letters, each with the mean of its bytes and its first byte's position", () => {
  assertEquals(letters("aé€", [1, 2, 4, 3, 6, 9]), [
    { text: "a", value: 1, position: 0 },
    { text: "é", value: 3, position: 1 },
    { text: "€", value: 6, position: 3 },
  ]);
  const cut = new Letters();
  assertEquals([...cut.next(0xe2, 5, 7), ...cut.end()], [{ text: "\ufffd", value: 5, position: 7 }]);
});

Deno.test("strip: levels go from nothing to the highest, and what lies beyond the scale is clipped", () => {
  assertEquals([-1, 0, 0.1, 1, 1.1, 7.5, 8, 100, NaN].map((value) => levelOf(SCALE, value)), [
    0,
    0,
    1,
    1,
    2,
    8,
    LEVELS,
    LEVELS,
    0,
  ]);
  assertEquals(levelOf({ low: 3, high: 3 }, 5), 0);
});

Deno.test("strip: a few extreme numbers do not stretch the scale, and NaN does not count", () => {
  const values = [NaN, 1e9, -1e9, ...Array.from({ length: 98 }, (_, i) => i)];
  const { low, high } = scaleOf(values);
  assert(low >= 0 && low <= 6 && high >= 90 && high <= 97, `${low} to ${high}`);
  assertEquals(scaleOf([NaN]), { low: 0, high: 0 });
});

Deno.test("strip: without colour there are lines of letters with bars below, wrapped, and no escape code", () => {
  const strip = new Strip(SCALE, false);
  const text = strip.add(letters(`a b\nc\x1b[31m\t${"x".repeat(80)}`, [8, 0, 1, 4])) + strip.end();
  const rows = text.split("\n");
  assertEquals(rows.slice(0, 3), ["a b↵", "█ ▁▄", `c·[31m→${"x".repeat(73)}`]);
  assertEquals(rows[4], "x".repeat(7));
  // deno-lint-ignore no-control-regex -- that is what must not be there
  assert(!/\x1b/.test(text));
});

Deno.test("strip: with colour each change of level is one code, and lines end uncoloured", () => {
  const strip = new Strip(SCALE, true);
  const text = strip.add(letters("aab\nc", [1, 1, 8, 8, 0])) + strip.end();
  assertEquals(text, "\x1b[48;5;230;38;5;16maa\x1b[48;5;124;38;5;231mb \x1b[0m\nc\x1b[0m\n");
});

Deno.test("strip: control codes and marks that turn the writing are never passed on", () => {
  for (const code of ["\x1b", "\x07", "\r", "\x9b", "\u202e", "\u2066"]) assertEquals(visible(code), "·");
  assertEquals(["a", "é", "\t", "\n"].map(visible), ["a", "é", "→", "↵"]);
});

Deno.test("strip: the legend says what each level stands for", () => {
  assertEquals(legend(SCALE, false), "no bar to 0  ▁ to 1  ▂ to 2  ▃ to 3  ▄ to 4  ▅ to 5  ▆ to 6  ▇ to 7  █ above 7");
  assert(legend(SCALE, true).startsWith("uncoloured to 0 \x1b[48;5;230;38;5;16m to 1 \x1b[0m"));
  assertEquals([0, 0.012345, 1234.5, 1e-5, NaN].map(formatNumber), ["0", "0.0123", "1230", "1.00e-5", "-"]);
});

Deno.test("summary: mean, least and greatest of what comes, NaN left out", () => {
  const figures = new RunningFigures();
  assertEquals(figures.figures, null);
  for (const value of [2, NaN, -1, 5]) figures.add(value);
  assertEquals(figures.figures, { mean: 2, min: -1, max: 5 });
});

Deno.test("summary: the highest passages are found, in order, and none overlaps another", () => {
  const values = new Array<number>(200).fill(0);
  values.fill(3, 40, 64).fill(5, 100, 124).fill(4, 130, 154);
  const passages = new Passages();
  letters("x".repeat(200), values).forEach((letter) => passages.add(letter));
  assertEquals(passages.best.map(({ start, end, mean }) => [start, end, mean]), [[100, 123, 5], [130, 153, 4], [
    40,
    63,
    3,
  ]]);
  const short = new Passages();
  letters("abc", [1, 2, 3]).forEach((letter) => short.add(letter));
  assertEquals(short.best, [{ start: 0, end: 2, mean: 2, text: "abc" }]);
});

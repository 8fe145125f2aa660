import { assertEquals, assertThrows } from "@std/assert";
import { partOf, splitRanges } from "../../../cli/data/part_of.ts";
import { JoinedFiles, TokenFile } from "../../../cli/data/token_file.ts";
import { CommandError } from "../../../cli/errors.ts";
import { withFolder } from "../scratch.ts";

/** Tokens of a source from a place on. */
function tokens(source: { read(start: number, into: Int32Array): void }, start: number, count: number): number[] {
  const into = new Int32Array(count);
  source.read(start, into);
  return [...into];
}

Deno.test("data: many files are one text, with a separator between two, wherever it is read", () =>
  withFolder(async (folder) => {
    const texts = Array.from({ length: 50 }, (_, i) => i % 7 === 2 ? "" : String(i).repeat(1 + i % 5));
    const parts = [];
    for (const [i, text] of texts.entries()) {
      await Deno.writeTextFile(`${folder}/${i}`, text);
      parts.push({ path: `${folder}/${i}`, sizeBytes: text.length });
    }
    const whole = new TextEncoder().encode(texts.filter((text) => text !== "").join("--"));
    using joined = new JoinedFiles(parts, new TextEncoder().encode("--"));
    assertEquals(joined.length, whole.length);
    for (let start = 0; start < whole.length; start++) {
      const count = Math.min(1 + start % 23, whole.length - start);
      assertEquals(tokens(joined, start, count), [...whole.subarray(start, start + count)], `from ${start}`);
    }
    assertEquals(tokens(joined, 0, whole.length), [...whole]);
  }));

Deno.test("data: token files hold ids of one, two and four bytes", () =>
  withFolder(async (folder) => {
    const path = `${folder}/tokens`;
    for (const [idBytes, ids] of [[1, [0, 7, 255]], [2, [0, 300, 65535]], [4, [0, 70_000, 199_999]]] as const) {
      const bytes = new Uint8Array(ids.length * idBytes);
      ids.forEach((id, i) => {
        for (let b = 0; b < idBytes; b++) bytes[i * idBytes + b] = id >>> (8 * b);
      });
      await Deno.writeFile(path, bytes);
      using file = new TokenFile({ path, sizeBytes: bytes.length }, idBytes);
      assertEquals([file.length, ...tokens(file, 0, 3), ...tokens(file, 1, 1)], [3, ...ids, ids[1]]);
    }
  }));

Deno.test("data: a file that becomes shorter while it is used is noticed", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/a`, "0123456789");
    using file = new TokenFile({ path: `${folder}/a`, sizeBytes: 10 }, 1);
    await Deno.truncate(`${folder}/a`, 5);
    assertThrows(() => tokens(file, 3, 4), CommandError, "became shorter during training");
  }));

Deno.test("data: the end of a text is held out, or pieces that the seed chooses", () => {
  assertEquals(splitRanges(1000, 0.05, { split: "end", seed: 1 }), { train: [[0, 950]], heldOut: [[950, 1000]] });
  const length = 10_000_019, split = "scattered" as const;
  const { train, heldOut } = splitRanges(length, 0.1, { split, seed: 1 });
  assertEquals(splitRanges(length, 0.1, { split, seed: 1 }), { train, heldOut });
  assertEquals(String(splitRanges(length, 0.1, { split, seed: 2 }).heldOut) === String(heldOut), false);
  // Together they are the text, each place once.
  const all = [...train, ...heldOut].sort((a, b) => a[0] - b[0]);
  assertEquals([all[0][0], all.at(-1)![1]], [0, length]);
  for (let i = 1; i < all.length; i++) assertEquals(all[i][0], all[i - 1][1]);
  const held = heldOut.reduce((sum, [start, end]) => sum + end - start, 0);
  assertEquals(Math.round(100 * held / length), 10);
  assertEquals(heldOut.length > 50, true);
  // A range is read as a text of its own.
  const source = { length, read: (start: number, into: Int32Array) => into.forEach((_, i) => into[i] = start + i) };
  assertEquals([partOf(source, [5, 9]).length, ...tokens(partOf(source, [5, 9]), 1, 2)], [4, 6, 7]);
});

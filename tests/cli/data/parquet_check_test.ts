/** What is checked of Parquet files before the library sees them. */
import { assertEquals, assertThrows } from "@std/assert";
import { checkDelta, checkRuns, checkStruct } from "../../../cli/data/parquet_check.ts";

/** A number as a varint. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push(value % 128 + 128);
  return [...bytes, value];
}

Deno.test("parquet: metadata that end, and say no more than they are, are walked over", () => {
  // Field 1 an i32, field 2 a text, field 3 a list of two structs, field 4 true, then the end.
  const whole = Uint8Array.from([0x15, 0x04, 0x18, 2, 97, 98, 0x19, 0x2c, 0x15, 2, 0, 0x15, 4, 0, 0x11, 0]);
  assertEquals(checkStruct(whole, 0), whole.length);
  for (let length = 0; length < whole.length; length++) {
    assertThrows(() => checkStruct(whole.slice(0, length), 0), Error);
  }
});

Deno.test("parquet: lists and texts longer than what follows, and nests without end, are refused before anything is allocated", () => {
  for (const size of [2 ** 20, 2 ** 31 - 1, 2 ** 32, 2 ** 53]) {
    assertThrows(
      () => checkStruct(Uint8Array.from([0x19, 0xf5, ...varint(size), 0]), 0),
      Error,
      `a list of ${size} entries`,
    );
    assertThrows(() => checkStruct(Uint8Array.from([0x18, ...varint(size), 0]), 0), Error, "ends too early");
  }
  assertThrows(() => checkStruct(new Uint8Array(1e6).fill(0x1c), 0), Error, "nested more than 64 times");
  assertThrows(() => checkStruct(new Uint8Array(1e6).fill(0x19), 0), Error);
  assertThrows(() => checkStruct(new Uint8Array(100).fill(0xff), 0), Error);
});

Deno.test("parquet: runs longer than the values of a page are refused", () => {
  const runs = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);
  checkRuns(runs(...varint(20), 1), 0, { count: 10, width: 1 });
  checkRuns(runs(...varint(3), 0xff), 0, { count: 5, width: 1 });
  checkRuns(runs(...varint(8), 0, ...varint(12), 1), 0, { count: 10, width: 1 });
  for (const count of [11, 2 ** 20, 2 ** 30]) {
    assertThrows(() => checkRuns(runs(...varint(2 * count), 1), 0, { count: 10, width: 1 }), Error, "it has a run of");
  }
  assertThrows(() => checkRuns(runs(...varint(2 * 2 ** 29 + 1)), 0, { count: 10, width: 0 }), Error, "it has a run of");
});

Deno.test("parquet: numbers in blocks without parts, which the library would read for ever, are refused", () => {
  const header = (block: number, parts: number, count = 10): Uint8Array =>
    Uint8Array.from([...varint(block), ...varint(parts), ...varint(count)]);
  assertEquals(checkDelta(header(128, 4, 77), 0), 77);
  for (
    const [block, parts, count] of [[128, 0, 1], [0, 4, 1], [128, 3, 1], [4, 128, 1], [2 ** 31, 4, 1], [
      128,
      2 ** 32 - 1,
      1,
    ], [128, 4, 2 ** 31]]
  ) {
    assertThrows(() => checkDelta(header(block, parts, count), 0), Error, "a page has blocks of");
  }
});

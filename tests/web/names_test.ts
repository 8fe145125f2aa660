/** What the playground calls bytes of any script. */
import { assertEquals } from "@std/assert";
import { nameOfByte, nameOfNext } from "../../web/page/names.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

Deno.test("playground: a byte is named by the character that it is or is part of", () => {
  const text = bytes("a \nд€😀");
  assertEquals(Array.from(text, (_, at) => nameOfByte(text, at)), [
    "“a”",
    "space",
    "line break",
    "byte 1 of 2 of “д”",
    "byte 2 of 2 of “д”",
    ...[1, 2, 3].map((i) => `byte ${i} of 3 of “€”`),
    ...[1, 2, 3, 4].map((i) => `byte ${i} of 4 of “😀”`),
  ]);
  // Cut within a character, and bytes that are none.
  assertEquals(nameOfByte(bytes("д").subarray(0, 1), 0), "byte 208, no character");
  assertEquals(nameOfByte(Uint8Array.of(0xb4, 0x41), 0), "byte 180, no character");
  assertEquals(nameOfByte(Uint8Array.of(0xff), 0), "byte 255, no character");
  assertEquals(nameOfByte(Uint8Array.of(7), 0), "character 7");
});

Deno.test("playground: a byte that is expected is named by what it would make of what stands before it", () => {
  const text = bytes("xд€");
  assertEquals(nameOfNext(text, 0, 0x41), "“A”");
  assertEquals(nameOfNext(text, 1, 0xd0), "the first byte of a character of 2");
  assertEquals(nameOfNext(text, 2, 0xb4), "“д”");
  assertEquals(nameOfNext(text, 2, 0xb5), "“е”");
  assertEquals(nameOfNext(text, 2, 0x20), "space");
  assertEquals(nameOfNext(text, 2, 0xe2), "the first byte of another character");
  assertEquals(nameOfNext(text, 4, 0x82), "byte 2 of a character");
  assertEquals(nameOfNext(text, 5, 0xac), "“€”");
  assertEquals(nameOfNext(text, 3, 0x80), "byte 128, no character");
});

/** What the playground calls bytes of any script. */
import { assertEquals } from "@std/assert";
import { charactersOf } from "../../web/page/characters.ts";
import { nameOfCharacter, nameOfNext } from "../../web/page/names.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

Deno.test("playground: texts are counted by characters, whatever their script", () => {
  assertEquals(charactersOf("aд\n€😀").map(({ text, start, end }) => [nameOfCharacter(text), start, end]), [
    ["“a”", 0, 1],
    ["“д”", 1, 3],
    ["line break", 3, 4],
    ["“€”", 4, 7],
    ["“😀”", 7, 11],
  ]);
  assertEquals([" ", "\x07"].map(nameOfCharacter), ["space", "character 7"]);
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

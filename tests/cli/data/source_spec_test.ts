import { assertEquals, assertThrows } from "@std/assert";
import { isRemote, parseSource } from "../../../cli/data/source_spec.ts";
import { UsageError } from "../../../cli/errors.ts";

Deno.test("data: a number behind the last = is a weight, and nothing else is", () => {
  const cases: [string, string, number][] = [
    ["a.txt", "a.txt", 1],
    ["a.txt=2", "a.txt", 2],
    ["b.jsonl=0.25", "b.jsonl", 0.25],
    ["b.jsonl=.5", "b.jsonl", 0.5],
    ["C:\\texts\\a.txt", "C:\\texts\\a.txt", 1],
    ["C:\\texts\\a.txt=3", "C:\\texts\\a.txt", 3],
    ["a,b;c:d.txt", "a,b;c:d.txt", 1],
    ["year=2020/a.txt", "year=2020/a.txt", 1],
    ["year=2020=1", "year=2020", 1],
    ["https://example.org/get?file=a.txt", "https://example.org/get?file=a.txt", 1],
    ["hf:owner/name@main/a.parquet=2", "hf:owner/name@main/a.parquet", 2],
    ["-", "-", 1],
    ["-=2", "-", 2],
  ];
  for (const [text, place, weight] of cases) assertEquals(parseSource(text), { place, weight }, text);
  for (const text of ["", "=2"]) {
    assertThrows(() => parseSource(text), UsageError, "give a file, a folder, a URL, - or sotu");
  }
  assertThrows(() => parseSource("a.txt=0"), UsageError, "the weight of --data a.txt=0 must be above 0");
});

Deno.test("data: URLs and paths on Hugging Face are told from files", () => {
  assertEquals(["https://x.org/a", "http://x.org/a", "hf:a/b/c", "hf.txt", "./http:/a", "C:\\hf"].map(isRemote), [
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
});

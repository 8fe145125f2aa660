import { assertThrows } from "@std/assert";
import { assertPrintedAsSaid } from "./printed_as_said.ts";

const PAGE =
  'Text.\n\n```ts\nconst x = 1;\nconsole.log(x); // 1\nconsole.log(2.5, x); // about 2.4 1\n```\n\n```sh\nls\n```\n\n```ts\nconsole.log("a"); // a\n```\n';

const run = (lines: string[], from: string): string =>
  `running 1 test from ./docs/page.md$${from}.ts\n./docs/page.md$${from}.ts ...\n------- post-test output -------\n${
    lines.join("\n")
  }\n` +
  `----- post-test output end -----\n./docs/page.md$${from}.ts ... ok (1ms)\n`;
const check = (first: string[], second: string[]): void =>
  assertPrintedAsSaid(
    PAGE,
    "docs/page.md",
    `${run(["other"], "1-2").replaceAll("page", "other")}${run(first, "3-8")}${run(second, "14-17")}\nok | 3 passed\n`,
  );

Deno.test("printed as said: lines that agree with their comments pass, to the letter or about", () => {
  check(["1", "2.5 1"], ["a"]);
  check(["1", "2.2 1"], ["a"]);
});

Deno.test("printed as said: another line, another number, a missing one, and an example that was not run fail", () => {
  assertThrows(() => check(["2", "2.5 1"], ["a"]), Error, 'example 1 of docs/page.md prints "2" where it says "1"');
  assertThrows(() => check(["1", "2.7 1"], ["a"]), Error, 'prints "2.7 1" where it says "about 2.4 1"');
  assertThrows(() => check(["1", "NaN 1"], ["a"]), Error, 'prints "NaN 1"');
  assertThrows(() => check(["1", "2.5"], ["a"]), Error, 'prints "2.5"');
  assertThrows(() => check(["1"], ["a"]), Error, "says 2 lines and prints 1");
  assertThrows(
    () => assertPrintedAsSaid(PAGE, "docs/page.md", run(["1", "2.5 1"], "3-8")),
    Error,
    "has 2 examples, 1 were run",
  );
});

/** What the examples of a page print, against the comments beside their `console.log`s. */
import { assert, assertEquals } from "@std/assert";
import { codeBlocks } from "./markdown.ts";

/**
 * How far a number may be from one that is said to be "about" it, relative to it; one in its last digit is always
 * allowed.
 */
const ABOUT = 0.1;

/**
 * Compares each printed line with the comment that ends the line of its `console.log`: letter by letter, or number by
 * number if the comment begins with "about".
 * @param page The page, each of whose `ts` blocks prints one line for each comment.
 * @param path How the page was named to `deno test --doc`.
 * @param output What that printed.
 */
export function assertPrintedAsSaid(page: string, path: string, output: string): void {
  const said = codeBlocks(page).filter(({ language }) => language === "ts").map(({ text }) =>
    [...text.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, line]) => line)
  );
  const runs = output.split(/^running \d+ tests? from \.\//m).filter((run) => run.startsWith(path));
  assertEquals(runs.length, said.length, `${path} has ${said.length} examples, ${runs.length} were run`);
  runs.forEach((run, i) => {
    const printed = [...run.matchAll(/^-+ (?:post-test )?output -+\n([\s\S]*?)^-+ (?:post-test )?output end -+$/gm)]
      .flatMap(([, lines]) => lines.trimEnd().split("\n"));
    assertEquals(
      printed.length,
      said[i].length,
      `example ${i + 1} of ${path} says ${said[i].length} lines and prints ${printed.length}:\n${printed.join("\n")}`,
    );
    printed.forEach((line, j) =>
      assert(agrees(line, said[i][j]), `example ${i + 1} of ${path} prints "${line}" where it says "${said[i][j]}"`)
    );
  });
}

function agrees(printed: string, said: string): boolean {
  const about = /^about (.*)$/.exec(said);
  if (!about) return printed === said;
  const actual = printed.split(" "), expected = about[1].split(" ");
  return actual.length === expected.length && expected.every((number, i) => {
    const unit = 10 ** -(number.split(".")[1]?.length ?? 0);
    return Math.abs(Number(actual[i]) - Number(number)) <= Math.max(ABOUT * Math.abs(Number(number)), 1.001 * unit);
  });
}

import { assert, assertEquals } from "@std/assert";
import { MUTATIONS } from "./mutations.ts";
import { SUITES } from "./suites.ts";

Deno.test("planted faults: each can still be planted, exactly once, and has suites that look for it", async () => {
  const problems: string[] = [];
  for (const { name, file, search, replace, suites } of MUTATIONS) {
    const count = (await Deno.readTextFile(file)).split(search).length - 1;
    if (count !== 1) problems.push(`${name}: ${file} has the text ${count} times`);
    if (search === replace) problems.push(`${name}: changes nothing`);
    if (suites.length === 0) problems.push(`${name}: no suite looks for it`);
  }
  assertEquals(problems, []);
  assertEquals(new Set(MUTATIONS.map(({ name }) => name)).size, MUTATIONS.length, "two faults have one name");
});

Deno.test("planted faults: every suite that looks for them is there", async () => {
  for (const file of Object.values(SUITES).flat()) assert((await Deno.stat(file)).isFile, file);
});

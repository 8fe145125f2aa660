import { assertEquals, assertRejects } from "@std/assert";
import { writeAtomic } from "../../cli/files.ts";
import { withFolder } from "./scratch.ts";

async function namesIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(folder)) names.push(name);
  return names.sort();
}

Deno.test("files: a file that cannot be replaced keeps its place, and no part stays behind", () =>
  withFolder(async (folder) => {
    // A folder in the file's place refuses the last move, as a full disk refuses the writing before it.
    await Deno.mkdir(`${folder}/file`);
    await Deno.writeTextFile(`${folder}/file/inner`, "kept");
    await assertRejects(() => writeAtomic(`${folder}/file`, "new"));
    assertEquals(await namesIn(folder), ["file"]);
    assertEquals(await Deno.readTextFile(`${folder}/file/inner`), "kept");
  }));

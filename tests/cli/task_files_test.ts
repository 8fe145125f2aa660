/** What the options of a task name is read: files, folders, what gzip packed, and errors in one line. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { readTaskFiles } from "../../cli/task_files.ts";
import { CommandError } from "../../cli/errors.ts";
import { ConfigError, defineTask, type Task } from "../../titans/mod.ts";
import { recall } from "../../titans/tasks/mod.ts";
import { withFolder } from "./scratch.ts";

/** A task that reads two paths, one of which may be left out. */
const reading = defineTask({
  name: "reading",
  summary: "what is in files",
  options: {
    data: { kind: "text", default: "", placeholder: "FILE", help: "a file or folder" },
    more: { kind: "text", default: "", placeholder: "FILE", help: "another one" },
  },
  reads: ["data", "more"],
  create: () => recall.create({ pairs: 2, rounds: 1, keys: 4, values: 4 }),
}) as unknown as Task;

const chosen = (data: string, more = "") => ({ name: "reading", options: { data, more } });
const gzip = (text: string) =>
  new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"))).bytes();
const shown = (files: readonly { readonly name: string; readonly bytes: Uint8Array }[]) =>
  files.map(({ name, bytes }) => [name, new TextDecoder().decode(bytes)]);

Deno.test("files of a task: a file, a folder sorted by name, and what gzip packed", () =>
  withFolder(async (folder) => {
    await Deno.mkdir(`${folder}/set/b`, { recursive: true });
    await Deno.writeTextFile(`${folder}/set/c.txt`, "third");
    await Deno.writeTextFile(`${folder}/set/.hidden`, "no");
    await Deno.writeTextFile(`${folder}/set/b/2.txt`, "second");
    await Deno.writeFile(`${folder}/set/a.txt.gz`, await gzip("first"));
    const files = await readTaskFiles(reading, chosen(`${folder}/set`, `${folder}/set/a.txt.gz`));
    assertEquals(shown(files.of(`${folder}/set`)), [["a.txt", "first"], ["b/2.txt", "second"], ["c.txt", "third"]]);
    assertEquals(shown(files.of(`${folder}/set/a.txt.gz`)), [["a.txt", "first"]]);
    assertThrows(() => files.of("elsewhere"), ConfigError, `data "elsewhere": it was not read`);
  }));

Deno.test("files of a task: the default text of training has a name, and a file for each speech", async () => {
  const speeches = (await readTaskFiles(reading, chosen("state-of-the-union"))).of("state-of-the-union");
  assertEquals([speeches.length, speeches[0].name], [233, "speech 1"]);
});

Deno.test("files of a task: what cannot be read is said with the option that names it", () =>
  withFolder(async (folder) => {
    const refused = (path: string, message: string) =>
      assertRejects(() => readTaskFiles(reading, chosen(path)), CommandError, message);
    await refused(`${folder}/none`, "/none as data of the task reading: ");
    await Deno.mkdir(`${folder}/empty`);
    await refused(`${folder}/empty`, "as data of the task reading: the folder has no files");
    await Deno.writeFile(`${folder}/cut.gz`, (await gzip("some text that is longer")).subarray(0, 20));
    await refused(`${folder}/cut.gz`, "it begins as gzip does, but is none, or is cut off");
  }));

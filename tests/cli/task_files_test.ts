/** What the options of a task name is read: files, folders, what gzip packed, and errors in one line. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { readTaskFiles } from "../../cli/task_files.ts";
import { CommandError, UsageError } from "../../cli/errors.ts";
import { ConfigError, defineTask, type Task } from "../../titans/mod.ts";
import { recall } from "../../titans/tasks/mod.ts";
import { symbolicLink, withFolder } from "./scratch.ts";

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
    const refused = (path: string, message: string, type: new (message: string) => Error = UsageError) =>
      assertRejects(() => readTaskFiles(reading, chosen(path)), type, message);
    await refused(`${folder}/none`, "/none as data of the task reading: there is no such file or folder; give one");
    await Deno.mkdir(`${folder}/empty`);
    await refused(`${folder}/empty`, "as data of the task reading: the folder has no files", CommandError);
    await Deno.writeFile(`${folder}/cut.gz`, (await gzip("some text that is longer")).subarray(0, 20));
    await refused(`${folder}/cut.gz`, "it is not a complete gzip file; download or compress it again");
    await symbolicLink("loop", `${folder}/loop`);
    await refused(`${folder}/loop`, "as data of the task reading: it is a circular link; repair it, or give another");
  }));

Deno.test("files of a task: what is no text is refused by name with a remedy, packed or not", () =>
  withFolder(async (folder) => {
    const foreign: [bytes: string, message: string][] = [
      ["\xfd7zXZ\0...", "is compressed with xz, not text: decompress it with unxz "],
      ["PAR1....", "is a Parquet file, not text: convert it to CSV or JSON Lines"],
      ["\xff\xfea\0,\0", "is text in UTF-16, not text: convert it with iconv -f UTF-16 -t UTF-8 "],
      ['\x20\0\0\0\0\0\0\0{"a":', "is a safetensors file, not text: give a file with text"],
    ];
    for (const [i, [bytes, message]] of foreign.entries()) {
      const path = `${folder}/${i}.csv`, file = Uint8Array.from(bytes, (letter) => letter.charCodeAt(0));
      await Deno.writeFile(path, file);
      await Deno.writeFile(
        `${path}.gz`,
        await new Response(new Blob([file]).stream().pipeThrough(new CompressionStream("gzip"))).bytes(),
      );
      for (const name of [path, `${path}.gz`]) {
        const { message: said } = await assertRejects(() => readTaskFiles(reading, chosen(name)), UsageError, message);
        // There is no such flag where a task reads.
        assertEquals([said.includes(name), said.includes("--format")], [true, false], said);
      }
    }
  }));

Deno.test("files of a task: what cannot be opened in a folder is left out with a line", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/a.txt`, "text");
    await symbolicLink("nowhere", `${folder}/b.txt`);
    await symbolicLink("c.txt", `${folder}/c.txt`);
    await symbolicLink(".", `${folder}/d`);
    const lines: string[] = [], files = await readTaskFiles(reading, chosen(folder), (line) => lines.push(line));
    assertEquals(shown(files.of(folder)), [["a.txt", "text"]]);
    assertEquals(lines, [
      `skipped in ${folder}: b.txt (a broken link)`,
      `skipped in ${folder}: c.txt (a circular link)`,
      `skipped in ${folder}: d (a link to a parent folder)`,
    ]);
  }));

import { assert, assertEquals, assertRejects } from "@std/assert";
import { readDocuments } from "../../../cli/data/documents.ts";
import { inputFiles } from "../../../cli/data/input_files.ts";
import { readJsonl } from "../../../cli/data/jsonl.ts";
import { readCsv } from "../../../cli/data/csv.ts";
import { readError } from "../../../cli/data/read_file.ts";
import type { Format } from "../../../cli/data/recipe.ts";
import { CommandError, UsageError } from "../../../cli/errors.ts";
import { withFolder } from "../scratch.ts";
import { bytesOf, inPieces, pack, parquetBytes, textOf } from "./data_files.ts";

/** The text of a place. */
async function read(
  path: string,
  { field = "text", format = "auto" as Format, stopped = (): boolean => false } = {},
): Promise<string> {
  return await textOf(bytesOf(readDocuments(await inputFiles(path, format), { field, stopped })));
}

Deno.test("data: a folder is read with all below it, in the order of names, without hidden and unknown files", () =>
  withFolder(async (folder) => {
    await Deno.mkdir(`${folder}/b/.git`, { recursive: true });
    await Deno.writeTextFile(`${folder}/b/one.md`, "second");
    await Deno.writeTextFile(`${folder}/b/.git/config.txt`, "hidden");
    await Deno.writeTextFile(`${folder}/a.txt`, "first");
    await Deno.writeTextFile(`${folder}/.hidden.txt`, "hidden");
    await Deno.writeTextFile(`${folder}/picture.png`, "unknown");
    await Deno.writeTextFile(`${folder}/empty.txt`, "");
    await Deno.writeFile(`${folder}/c.txt.gz`, await pack("third"));
    await Deno.writeTextFile(`${folder}/Z.jsonl`, '{"text":"zeroth"}\n{"text":"and a half"}\n');
    assertEquals(await read(folder), "zeroth\n\nand a half\n\nfirst\n\nsecond\n\nthird");
    assertEquals(await read(`${folder}/`), await read(folder));
    assertEquals(await read(`${folder}/b`, { format: "text" }), "second");
    assertEquals(await read(`${folder}/picture.png`), "unknown");
  }));

Deno.test("data: gzip is unpacked, also several packed files in one, and bytes that are no UTF-8 stay as they are", () =>
  withFolder(async (folder) => {
    const [first, second] = [await pack("remember "), await pack("this")];
    await Deno.writeFile(`${folder}/two.gz`, Uint8Array.from([...first, ...second]));
    assertEquals(await read(`${folder}/two.gz`), "remember this");
    const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7) % 256);
    await Deno.writeFile(`${folder}/bytes.gz`, await pack(bytes));
    const pieces = await Array.fromAsync(
      bytesOf(readDocuments(await inputFiles(`${folder}/bytes.gz`, "auto"), { field: "text" })),
    );
    assertEquals(pieces.flatMap((piece) => [...piece]), [...bytes]);
  }));

Deno.test("data: a gzip file that is broken or cut short is refused", () =>
  withFolder(async (folder) => {
    const whole = await pack("remember this ".repeat(1000));
    await Deno.writeTextFile(`${folder}/none.gz`, "no gzip");
    await Deno.writeFile(`${folder}/short.gz`, whole.subarray(0, whole.length - 5));
    await Deno.writeFile(`${folder}/flipped.gz`, whole.map((byte, i) => i === whole.length - 6 ? byte ^ 1 : byte));
    for (const name of ["none", "short", "flipped"]) {
      await assertRejects(
        () => read(`${folder}/${name}.gz`),
        UsageError,
        `the data file ${folder}/${name}.gz cannot be decompressed: it is not a complete gzip file`,
      );
    }
  }));

Deno.test("data: JSONL gives the text of the field asked for, however its bytes come", async () => {
  const lines = '{"text":"naïve 🎉","id":1}\r\n\n{"id":2,"text":"two\\nlines"}\n{"text":""}';
  for (const size of [1, 3, 1000]) {
    assertEquals(await Array.fromAsync(readJsonl(inPieces(lines, size), "x.jsonl", "text")), [
      "naïve 🎉",
      "two\nlines",
      "",
    ], `pieces of ${size}`);
  }
});

Deno.test("data: a malformed JSONL line is named by its number", async () => {
  const fails = async (lines: string, message: string): Promise<void> => {
    await assertRejects(() => Array.fromAsync(readJsonl(inPieces(lines, 5), "x.jsonl", "text")), UsageError, message);
  };
  await fails(
    '{"text":"a"}\n\n{"text":"b"\n',
    'x.jsonl line 3 is not valid JSON: each line must be one record such as {"text": "..."}',
  );
  await fails("[1]\n", "x.jsonl line 1 is not a JSON object");
  await fails(
    '{"text":"a"}\n{"body":"b","id":1}\n',
    "x.jsonl line 2 has no text in its field text: choose the text field with --field NAME (there are body, id)",
  );
  await fails('{"text":5}\n', "x.jsonl line 1 has no text in its field text");
});

Deno.test("data: CSV gives one column, with quotes, commas and line ends in fields", async () => {
  const table = '\ufeffid,text\r\n1,"one, ""two""\nthree"\r\n2,naïve\r\n';
  for (const size of [1, 4, 1000]) {
    assertEquals(
      await Array.fromAsync(readCsv(inPieces(table, size), "x.csv", "text")),
      ['one, "two"\nthree', "naïve"],
      `pieces of ${size}`,
    );
  }
  assertEquals(await Array.fromAsync(readCsv(inPieces(table, 9), "x.csv", "id")), ["1", "2"]);
});

Deno.test("data: CSV without the column or malformed is refused", async () => {
  const fails = async (table: string, message: string): Promise<void> => {
    await assertRejects(() => Array.fromAsync(readCsv(inPieces(table, 5), "x.csv", "text")), UsageError, message);
  };
  await fails(
    "id,body\n1,a\n",
    "x.csv has no column text: choose the text column with --field NAME (there are id, body)",
  );
  await fails("id,text\n1,a\n2\n", "x.csv line 3 has 1 fields and its first row has 2");
  await fails('id,text\n1,"a\n', "x.csv is not valid CSV: ");
  await fails('id,text\n1,a"b\n', "line 2");
});

Deno.test("data: Parquet gives one column, group by group, packed or not; rows without a text are left out", () =>
  withFolder(async (folder) => {
    const texts = Array.from({ length: 50 }, (_, i) => i % 10 === 3 ? null : `document ${i} naïve`);
    for (const codec of ["SNAPPY", "UNCOMPRESSED"] as const) {
      await Deno.writeFile(`${folder}/a.parquet`, parquetBytes(texts, { codec, rowGroupSize: 7 }));
      assertEquals(await read(`${folder}/a.parquet`), texts.filter((text) => text !== null).join("\n\n"));
    }
  }));

Deno.test("data: Parquet as other programs write it: both kinds of pages, every codec, dictionaries, differences, nothing but nulls", async () => {
  const texts = Array.from({ length: 30 }, (_, i) => i % 3 === 0 ? [] : [`text ${i % 4} naïve`]).flat().join("\n\n");
  const folder = "tests/fixtures/parquet",
    names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  assertEquals(names.length, 9);
  for (const name of names) assertEquals(await read(`${folder}/${name}`), name.startsWith("nulls") ? "" : texts, name);
  assertEquals(
    (await read(`${folder}/v1_snappy.parquet`, { field: "{id}" })).split("\n\n"),
    Array.from({ length: 30 }, (_, i) => String(i)),
  );
});

Deno.test("data: Parquet that is damaged or has no such column is refused", () =>
  withFolder(async (folder) => {
    const path = `${folder}/a.parquet`,
      whole = parquetBytes(["one", "two"].map((word) => word.repeat(100)), { codec: "UNCOMPRESSED" });
    await Deno.writeFile(path, whole);
    await assertRejects(
      () => read(path, { field: "body" }),
      UsageError,
      `${path} has no column body: choose the text column with --field NAME (there are text, id)`,
    );
    await assertRejects(() => read(path, { field: "id" }), UsageError, `${path} row 1 has no text in its column id`);
    const damaged = [
      whole.subarray(0, whole.length - 9),
      whole.subarray(100),
      new Uint8Array(0),
      whole.map((byte, i) => i < 60 ? 255 : byte),
    ];
    for (const bytes of damaged) {
      await Deno.writeFile(path, bytes);
      const error = await assertRejects(() => read(path), UsageError, `${path} cannot be read as Parquet: `);
      assert(!error.message.includes("\n"), error.message);
    }
    await Deno.writeFile(`${path}.gz`, await pack("x"));
    await assertRejects(() => read(`${path}.gz`), UsageError, "decompress it first with gunzip");
  }));

Deno.test("data: what is missing, may not be read, or holds nothing is said in one line", () =>
  withFolder(async (folder) => {
    await assertRejects(
      () => read(`${folder}/none`),
      UsageError,
      `no data file ${folder}/none: give a text file with --data FILE, or --data sotu`,
    );
    await assertRejects(
      () => read(folder),
      UsageError,
      `the folder ${folder} contains no text: it needs files that end in .txt .md .jsonl`,
    );
    // deno-lint-ignore require-yield -- the folder opens, and then cannot be listed
    const refuses = async function* (): AsyncGenerator<Deno.DirEntry> {
      throw await Promise.resolve(new Deno.errors.PermissionDenied("Permission denied (os error 13)"));
    };
    const message = `${folder} is not readable: grant read permission, or give other data with --data`;
    await assertRejects(() => inputFiles(folder, "auto", { readDir: refuses }), UsageError, message);
    assertEquals(readError(new Deno.errors.NotCapable("x"), "a", "--data") instanceof Deno.errors.NotCapable, true);
  }));

Deno.test("data: who asks to stop is heard between two pieces", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/a.jsonl`, '{"text":"a"}\n'.repeat(10));
    await assertRejects(
      () => read(`${folder}/a.jsonl`, { stopped: () => true }),
      CommandError,
      "stopped while preparing the data: nothing was saved",
    );
  }));

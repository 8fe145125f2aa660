/** What files are by their first bytes, and that one reader serves all commands. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { type Content, contentOf, type Expected } from "../../../cli/data/content.ts";
import { readDocuments } from "../../../cli/data/documents.ts";
import { inputFiles } from "../../../cli/data/input_files.ts";
import type { Format } from "../../../cli/data/recipe.ts";
import { RowTally } from "../../../cli/data/rows.ts";
import { openText } from "../../../cli/data/text.ts";
import { UsageError } from "../../../cli/errors.ts";
import { encodeSafetensors } from "../../../titans/models/safetensors.ts";
import { withFolder } from "../scratch.ts";
import { bytesOf, pack, parquetBytes, textOf } from "./data_files.ts";

const bytes = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const binary = "\x00\x01\xfe\xff\x7f\x1b".repeat(20);

/** Text in UTF-16 with or without a mark. */
function utf16(text: string, littleEndian: boolean, mark = true): Uint8Array<ArrayBuffer> {
  const marked = mark ? `\ufeff${text}` : text, view = new DataView(new ArrayBuffer(2 * marked.length));
  for (let i = 0; i < marked.length; i++) view.setUint16(2 * i, marked.charCodeAt(i), littleEndian);
  return new Uint8Array(view.buffer);
}

/** Runs a shell's command: links and pipes want permissions that tests do not have. */
async function shell(script: string): Promise<void> {
  const code = `const { success } = await new Deno.Command("sh", { args: ["-c", ${
    JSON.stringify(script)
  }] }).output(); Deno.exit(success ? 0 : 1);`;
  assertEquals((await new Deno.Command("deno", { args: ["eval", code] }).output()).code, 0, script);
}

/** Files that are no text by the word that names them and the program that helps. */
const FOREIGN: readonly (readonly [contents: Uint8Array<ArrayBuffer>, name: string, remedy: string])[] = [
  [bytes(`BZh91AY&SY${binary}`), "bzip2", "bunzip2"],
  [bytes(`\xfd7zXZ\0${binary}`), "xz", "unxz"],
  [bytes(`\x28\xb5\x2f\xfd${binary}`), "Zstandard", "unzstd"],
  [bytes(`\x04\x22\x4d\x18${binary}`), "LZ4", "unlz4"],
  [bytes(`PK\x03\x04${binary}`), "zip archive", "unzip"],
  [bytes(`7z\xbc\xaf\x27\x1c${binary}`), "7-Zip", "7z x"],
  [bytes(`Rar!\x1a\x07${binary}`), "RAR", "unrar"],
  [bytes(`${"name".padEnd(257, "\0")}ustar\0${binary}`), "tar archive", "tar -xf"],
  [bytes(`%PDF-1.7\n${binary}`), "PDF", "pdftotext"],
  [bytes(`\x89PNG\r\n\x1a\n${binary}`), "image", "text"],
  [bytes(`SQLite format 3\0${binary}`), "SQLite", "CSV"],
  [
    encodeSafetensors({ tensors: { a: { shape: [2], data: new Float32Array(2) } }, metadata: {} }),
    "safetensors",
    "--checkpoint",
  ],
  [utf16("no mark before this text", true, false), "UTF-16", "iconv -f UTF-16LE"],
  [utf16("no mark before this text", false, false), "UTF-16", "iconv -f UTF-16BE"],
  [bytes("\xff\xfe\0\0a\0\0\0b\0\0\0"), "UTF-32", "iconv -f UTF-32"],
];

async function train(path: string, format: Format = "auto", tally = new RowTally()): Promise<string> {
  return await textOf(bytesOf(readDocuments(await inputFiles(path, format), { field: "text", tally })));
}

async function remember(path: string, format: Format = "auto"): Promise<string> {
  return await textOf((await openText(path, { format, field: "text" })).bytes);
}

Deno.test("content: what is no text is refused by name with a remedy, under any name, packed or not, by every command", () =>
  withFolder(async (folder) => {
    for (const [contents, name, remedy] of FOREIGN) {
      for (
        const [end, whole] of [["txt", contents], ["dat", contents], ["txt.gz", await pack(contents)], [
          "csv",
          contents,
        ]] as const
      ) {
        const path = `${folder}/file.${end}`;
        await Deno.writeFile(path, whole);
        for (const read of [train, remember]) {
          const error = await assertRejects(() => read(path), UsageError, undefined, `${name} as ${end}`);
          assert(
            error.message.includes(path) && error.message.includes(name) && error.message.includes(remedy),
            error.message,
          );
          assert(!error.message.includes("\n"));
        }
      }
    }
  }));

Deno.test("content: who says --format text gets bytes as they are", () => {
  for (const [contents, name] of FOREIGN) {
    assertEquals(contentOf(contents, { path: "x", asked: "text" }).format, "text", name);
  }
});

Deno.test("content: text that begins as another format does is text", () => {
  const texts = [
    "BZh is short for something",
    "ORC stands for",
    "GIF89 was a format",
    "PK and others",
    "[Verse 1]\nla la",
    "{ braces } open this",
    "LZIP it",
    "Object",
  ];
  for (const text of texts) {
    assertEquals(contentOf(bytes(text), { path: "x.txt", asked: "auto", named: "text" }).format, "text", text);
  }
  for (const text of ["ab", "", "\0", "\x1f", "a\0b"]) {
    assertEquals(contentOf(bytes(text), { path: "x", asked: "auto" }).format, "text");
  }
});

Deno.test("content: gzip, UTF-16 and Parquet are found under any name, by train and remember alike", () =>
  withFolder(async (folder) => {
    const text = "naïve 🎉 text\nof two lines\n";
    await Deno.writeFile(`${folder}/packed.txt`, await pack(text));
    await Deno.writeFile(`${folder}/little.txt`, utf16(text, true));
    await Deno.writeFile(`${folder}/big.txt`, utf16(text, false));
    await Deno.writeFile(`${folder}/both.txt`, await pack(utf16(text, true)));
    await Deno.writeFile(`${folder}/rows.csv`, utf16(`id;text\r\n1;${text.trim().replace("\n", " ")}\r\n`, true));
    await Deno.writeFile(`${folder}/table.dat`, parquetBytes([text, "two"]));
    for (const read of [train, remember]) {
      for (const name of ["packed", "little", "big", "both"]) {
        assertEquals(await read(`${folder}/${name}.txt`), text, name);
      }
      assertEquals(await read(`${folder}/table.dat`), `${text}\n\ntwo`);
    }
    const rows = await inputFiles(`${folder}/rows.csv`, "auto");
    assertEquals(
      await textOf(bytesOf(readDocuments(rows, { field: "text", separator: ";" }))),
      "naïve 🎉 text of two lines",
    );
    await Deno.writeFile(`${folder}/odd.txt`, utf16(text, true).slice(0, -1));
    await assertRejects(
      () => train(`${folder}/odd.txt`),
      UsageError,
      "odd.txt begins like UTF-16 text but is not valid UTF-16",
    );
    await Deno.writeFile(`${folder}/twice.gz`, await pack(await pack(text)));
    await assertRejects(() => train(`${folder}/twice.gz`), UsageError, "compressed with gzip twice");
  }));

Deno.test("content: records are found where no name says that they are some, and a JSON array is refused", () => {
  const look = (text: string, expected: Partial<Expected> = {}): Content =>
    contentOf(bytes(text), { path: "-", asked: "auto", ...expected });
  assertEquals(look('{"text":"a"}\n{"text":"b"}\n').format, "jsonl");
  assertEquals(look('{"text":"a"}').format, "jsonl");
  assertEquals(look(`{"text":"${"a".repeat(5000)}`).format, "jsonl");
  assertEquals(look('{"text":\n"a"}\n').format, "text");
  assertEquals(look('{"text":"a"}\n', { path: "x.json" }).format, "jsonl");
  assertEquals(look('{"text":"a"}\n', { path: "x.txt", named: "text" }).format, "text");
  assertEquals(look('{"text":"a"}\n', { asked: "csv" }).format, "csv");
  assertThrows(
    () => look('[{"text":"a"}]'),
    UsageError,
    "standard input is one JSON array, not text: write one record per line with jq -c '.[]'",
  );
  assertThrows(() => look("[1, 2]", { path: "x.json" }), UsageError, "x.json is one JSON array");
  assertThrows(
    () => look('{\n  "text": "a"\n}', { path: "x.json" }),
    UsageError,
    "x.json is JSON, but not one record per line",
  );
  assertThrows(
    () => contentOf(parquetBytes(["a"]), { path: "-", asked: "auto", isStream: true }),
    UsageError,
    "save it to a file",
  );
  assertThrows(() => contentOf(parquetBytes(["a"]), { path: "x", asked: "csv" }), UsageError, "x is a Parquet file");
});

Deno.test("files: what cannot be opened in a folder is left out with a line, and a pipe is read", () =>
  withFolder(async (folder) => {
    await Deno.mkdir(`${folder}/data/sub`, { recursive: true });
    await Deno.writeTextFile(`${folder}/data/a.txt`, "first");
    await Deno.writeTextFile(`${folder}/data/sub/b.txt`, "second");
    await Deno.writeTextFile(`${folder}/data/c.png`, "unknown");
    await shell(
      `cd ${folder}/data; ln -s nowhere.txt broken.txt; ln -s loop.txt loop.txt; ln -s .. sub/up; ln -s sub/b.txt linked.txt; mkfifo pipe.txt`,
    );
    const remarks: string[] = [],
      files = await inputFiles(`${folder}/data`, "auto", { remark: (line) => remarks.push(line) });
    assertEquals(await textOf(bytesOf(readDocuments(files, { field: "text" }))), "first\n\nsecond\n\nsecond");
    assertEquals(remarks, [
      `skipped in ${folder}/data: broken.txt (a broken link)`,
      `skipped in ${folder}/data: loop.txt (a circular link)`,
      `skipped in ${folder}/data: pipe.txt (not a file)`,
      `skipped in ${folder}/data: sub/up (a link to a parent folder)`,
      `skipped in ${folder}/data: c.png (unknown type)`,
    ]);
    const written = shell(`printf '{"text":"one"}\\n{"text":"two"}\\n' > ${folder}/data/pipe.txt`);
    assertEquals(await remember(`${folder}/data/pipe.txt`, "jsonl"), "one\n\ntwo");
    await written;
    await assertRejects(() => train("/dev/zero"), UsageError, "/dev/zero is not a file but a device or a socket");
    await assertRejects(
      () => train(`${folder}/data/loop.txt`),
      UsageError,
      "loop.txt is a circular link",
    );
    await assertRejects(() => train(`${folder}/data/a.txt/b`), UsageError, "a part of it is a file");
    await assertRejects(() => train("x".repeat(300)), UsageError, "the name is too long");
    await assertRejects(() => train("a\0b"), UsageError, "cannot be the name of a file");
  }));

Deno.test("files: how the system writes a name that is not UTF-8 is left out", async () => {
  const listed = async function* (): AsyncGenerator<Deno.DirEntry> {
    yield await Promise.resolve({ name: "a\ufffd.txt", isFile: true, isDirectory: false, isSymlink: false });
    yield { name: "main.ts", isFile: true, isDirectory: false, isSymlink: false };
  };
  const remarks: string[] = [],
    files = await inputFiles(".", "text", { readDir: listed, remark: (line) => remarks.push(line) });
  assertEquals(files.map(({ path }) => path), ["./main.ts"]);
  assertMatch(remarks.join(), /^skipped in \.: a\ufffd\.txt \(a name that is not UTF-8/);
});

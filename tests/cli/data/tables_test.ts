/** Tables and records: generated ones in all their spellings, bad rows, several fields. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { parseSeparator, readCsv } from "../../../cli/data/csv.ts";
import { CsvParser } from "../../../titans/text/csv_parser.ts";
import { parseField } from "../../../cli/data/field.ts";
import { readJsonl } from "../../../cli/data/jsonl.ts";
import { LineSplitter } from "../../../cli/data/lines.ts";
import { readParquetBuffer } from "../../../cli/data/parquet.ts";
import { describeRead, RowTally } from "../../../cli/data/rows.ts";
import { UsageError } from "../../../cli/errors.ts";
import { ConfigError } from "../../../titans/errors.ts";
import { HostRng } from "../../../titans/nn/host_rng.ts";
import { inPieces, parquetBytes } from "./data_files.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text),
  decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

Deno.test("csv: generated tables are read as they were meant, whatever their separator, line ends, quotes and pieces", () => {
  const words = [
    "",
    "a",
    "naïve",
    "🎉",
    "x y",
    'say "hi"',
    "two\nlines",
    "two\r\nlines",
    "a\rb",
    ",",
    ";",
    "\t",
    "|",
    '"',
    '""',
    " ",
  ];
  for (let seed = 0; seed < 300; seed++) {
    const rng = new HostRng(seed, "csv");
    let draw = 0;
    const random = (below: number): number => rng.integer(draw++, below);
    const separator = [",", ";", "\t", "|"][random(4)], end = ["\n", "\r\n", "\r"][random(3)], width = 1 + random(4);
    const table = Array.from(
      { length: 1 + random(6) },
      () => Array.from({ length: width }, () => words[random(words.length)]),
    );
    const written = table.map((row) =>
      row.map((field) => {
        const needs = /["\r\n]/.test(field) || field.includes(separator) || (width === 1 && field === "");
        return needs || random(3) === 0 ? `"${field.replaceAll('"', '""')}"` : field;
      }).join(separator)
    );
    const bytes = encode(`${seed % 5 === 0 ? "\ufeff" : ""}${written.join(end)}${random(2) === 0 ? end : ""}`),
      size = 1 + random(20);
    const parser = new CsvParser(separator.charCodeAt(0), "x.csv"), found: { line: number; fields: string[] }[] = [];
    const take = (rows: ReturnType<CsvParser["next"]>): void => {
      for (const { line, fields, fault } of rows) {
        assertEquals(fault, undefined);
        found.push({ line, fields: fields.map(decode) });
      }
    };
    for (let at = 0; at < bytes.length; at += size) take(parser.next(bytes.slice(at, at + size)));
    take(parser.end());
    assertEquals(found.map(({ fields }) => fields), table, `seed ${seed}`);
    // The line in which each row begins.
    let line = 1;
    for (const [i, row] of written.entries()) {
      assertEquals(found[i].line, line, `seed ${seed}, row ${i}`);
      line += 1 + row.split(/\r\n|\r|\n/).length - 1;
    }
  }
});

Deno.test("lines: LF, CR LF and CR end them, in pieces of any size", () => {
  const parts = ["a", "", "naïve", "long ".repeat(100), "b"];
  for (const [i, ends] of [["\n"], ["\r\n"], ["\r"], ["\n", "\r\n", "\r"]].entries()) {
    const text = parts.map((part, n) => `${part}${ends[n % ends.length]}`).join("") + "last", bytes = encode(text);
    for (const size of [1, 2, 3, 7, 1000]) {
      const splitter = new LineSplitter("x"), found: string[] = [];
      for (let at = 0; at < bytes.length; at += size) {
        found.push(...splitter.next(bytes.slice(at, at + size)).map(decode));
      }
      found.push(...splitter.end().map(decode));
      assertEquals(found, [...parts, "last"], `ends ${i}, pieces of ${size}`);
    }
  }
});

Deno.test("csv: what separates fields and whether columns have names can be said", async () => {
  const read = (table: string, field: string, options = {}): Promise<string[]> =>
    Array.fromAsync(readCsv(inPieces(table, 3), "x.csv", field, options));
  assertEquals(await read("id;text\r1;one\r2;two\r", "text", { separator: ";" }), ["one", "two"]);
  assertEquals(await read("1\tone\n2\ttwo", "2", { separator: "\t", header: false }), ["one", "two"]);
  assertEquals(await read("one\n\ntwo\n", "text", { header: false }), ["one", "two"]);
  await assertRejects(
    () => read("1,one\n", "text", { header: false }),
    UsageError,
    "choose one with --field (there are 1, 2)",
  );
  await assertRejects(() => read("id;text\n1;one\n", "text"), UsageError, 'give it with --separator ";"');
  await assertRejects(() => read("id\ttext\n1\tone\n", "text"), UsageError, "give it with --separator tab");
  assertEquals(["tab", "\\t", "\t", ";", "|", " "].map(parseSeparator), ["\t", "\t", "\t", ";", "|", " "]);
  for (const bad of ["", ";;", '"', "\n", "é"]) {
    assertThrows(() => parseSeparator(bad), UsageError, "--separator cannot be");
  }
});

Deno.test("csv: faults are named by the line in which their row begins", async () => {
  const table = 'id,text\n1,"two\nlines"\n\n2,a"b\n3\n4,ok\n5,"a"b\n6,"open\n7,x\n';
  const fails = (text: string, message: string): Promise<unknown> =>
    assertRejects(() => Array.fromAsync(readCsv(inPieces(text, 4), "x.csv", "text")), UsageError, message);
  await fails(table, "x.csv is not valid CSV: line 5 has a quote in an unquoted field");
  await fails(table.replace('a"b', "a"), "x.csv line 6 has 1 fields and its first row has 2");
  await fails('id,text\n1,"a"b', "line 2 has characters after a closing quote");
  await fails('id,text\n1,a\n2,"a\nb\n', "line 3 has a quote that is never closed");
  const tally = new RowTally(true);
  assertEquals(await Array.fromAsync(readCsv(inPieces(table, 4), "x.csv", "text", { tally })), ["two\nlines", "ok"]);
  assertEquals(tally.facts, { files: 0, rows: 6, withoutText: 0, badRows: 4, firstBad: "x.csv is not valid CSV" });
});

Deno.test("rows: null is no text everywhere; a field that is missing or no text is bad everywhere, and bad rows can be left out", async () => {
  const parquet = parquetBytes(["one", null, "two"]),
    buffer = {
      byteLength: parquet.length,
      slice: (a: number, b?: number) => Promise.resolve(parquet.slice(a, b).buffer),
    };
  const lines = '{"text":"one"}\n{"text":null}\n{"text":"two"}\n';
  for (
    const read of [
      (tally: RowTally) => readJsonl(inPieces(lines, 9), "x", "text", tally),
      (tally: RowTally) => readParquetBuffer(buffer, "x", { field: "text", tally }),
    ]
  ) {
    const tally = new RowTally();
    assertEquals(await Array.fromAsync(read(tally)), ["one", "two"]);
    assertEquals([tally.rows, tally.withoutText, tally.badRows], [3, 1, 0]);
  }
  const bad = ['{"text":"one"}', '{"body":"x"}', '{"text":5}', "[1]", "{", '{"text":"\xff"}', '{"text":"two"}'];
  const bytes = Uint8Array.from(bad.join("\n"), (letter) => letter.charCodeAt(0)), tally = new RowTally(true);
  assertEquals(await Array.fromAsync(readJsonl(inPieces(bytes, 5), "x.jsonl", "text", tally)), ["one", "two"]);
  assertEquals([tally.rows, tally.badRows, tally.firstBad], [7, 5, "x.jsonl line 2 has no text in its field text"]);
  await assertRejects(
    () => Array.fromAsync(readJsonl(inPieces(bytes.slice(bytes.length - 25), 5), "x", "text")),
    UsageError,
    "is not valid UTF-8: convert the file",
  );
  const ids = new RowTally(true);
  assertEquals(await Array.fromAsync(readParquetBuffer(buffer, "x", { field: "id", tally: ids })), []);
  assertEquals([ids.rows, ids.badRows], [3, 3]);
  assertEquals(
    describeRead("x", tally.facts, { documents: 2, bytes: 1234 }),
    "read x: 7 records, 5 bad rows skipped (the first: x.jsonl line 2 has no text in its field text), 2 documents, 1,234 bytes",
  );
});

Deno.test("rows: several fields make one text, as a list or by a template", async () => {
  const lines =
    '{"title":"A","text":"one","year":1900}\n{"title":null,"text":"two","year":1901}\n{"title":null,"text":null,"year":null}\n';
  const read = (field: string): Promise<string[]> => Array.fromAsync(readJsonl(inPieces(lines, 9), "x", field));
  assertEquals(await read("title,text"), ["A\none", "two"]);
  assertEquals(await read("{year}: {title}\\n{text}"), ["1900: A\none", "1901: \ntwo"]);
  assertEquals(await read("{{{text}\\t{text}}"), ["{one\tone}", "{two\ttwo}"]);
  await assertRejects(() => read("year,text"), UsageError, "has no text in its field year");
  const table = "title,text\nA,one\n";
  assertEquals(await Array.fromAsync(readCsv(inPieces(table, 5), "x", "{title}: {text}")), ["A: one"]);
  const parquet = parquetBytes(["one", null, "two"]),
    buffer = {
      byteLength: parquet.length,
      slice: (a: number, b?: number) => Promise.resolve(parquet.slice(a, b).buffer),
    };
  assertEquals(await Array.fromAsync(readParquetBuffer(buffer, "x", { field: "{id}: {text}" })), [
    "0: one",
    "1: ",
    "2: two",
  ]);
  assertEquals(parseField("{a,b}").names, ["a,b"]);
  for (const bad of ["", "a,,b", "{", "{}", "{a", "a{{"]) {
    assertThrows(() => parseField(bad), UsageError, "--field cannot be");
  }
});

Deno.test("rows: no line or row fills the memory", () => {
  const piece = new Uint8Array(1000).fill(97),
    splitter = new LineSplitter("x", 5000),
    parser = new CsvParser(44, "x", 5000);
  const endless = (take: (piece: Uint8Array) => unknown) => (): void => {
    for (let i = 0; i < 6; i++) take(piece);
  };
  assertThrows(endless((piece) => splitter.next(piece)), UsageError, "x has a line of more than 5000 bytes");
  assertThrows(endless((piece) => parser.next(piece)), ConfigError, "x has a row of more than 5000 bytes in line 1");
  assertThrows(
    () => new CsvParser(44, "x").next(new Uint8Array(2 ** 20).fill(44)),
    ConfigError,
    "x has a row of more than 65536 fields",
  );
});

import { assert, assertEquals, assertRejects } from "@std/assert";
import { CommandError, UsageError } from "../../../cli/errors.ts";
import { openCorpus } from "../../../cli/data/corpus.ts";
import { fingerprint } from "../../../cli/data/identity.ts";
import { readingProgress } from "../../../cli/data/reading_progress.ts";
import { type DataRecipe, DEFAULT_RECIPE } from "../../../cli/data/recipe.ts";
import { buildTokens, type Sink } from "../../../cli/data/token_cache.ts";
import { BYTES, bytesOfTokens } from "../../../cli/data/vocabulary.ts";
import { HostRng } from "../../../titans/nn/host_rng.ts";
import { MixedWindows, type TokenSource } from "../../../titans/mod.ts";
import { someText } from "../run_main.ts";
import { withFolder } from "../scratch.ts";
import { asDocument, inPieces, pack, parquetBytes } from "./data_files.ts";

const options = (folder: string) => ({ seqLen: 16, seed: 0, cache: `${folder}/cache` });
const recipe = (change: Partial<DataRecipe>): DataRecipe => ({ ...DEFAULT_RECIPE, ...change });

function encodeLatin1(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

/** All of a source as tokens. */
function all(source: TokenSource): Int32Array {
  const tokens = new Int32Array(source.length);
  source.read(0, tokens);
  return tokens;
}

const names = async (folder: string): Promise<string[]> =>
  (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();

Deno.test("corpus: a file is split, its last twentieth held out, and windows lie where they always lay", () =>
  withFolder(async (folder) => {
    const path = `${folder}/text.txt`, bytes = Uint8Array.from({ length: 1000 }, (_, i) => i % 251);
    await Deno.writeFile(path, bytes);
    using corpus = await openCorpus(recipe({ sources: [path] }), options(folder));
    assertEquals([
      corpus.train.length,
      corpus.heldOut.length,
      corpus.trainBytes,
      corpus.heldOutBytes,
      corpus.bytesPerToken,
    ], [1, 1, 950, 50, 1]);
    assertEquals([...all(corpus.train[0].text), ...all(corpus.heldOut[0])], [...bytes]);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    assertEquals([corpus.identity.name, corpus.identity.bytes, corpus.identity.sha256], [
      path,
      1000,
      [...digest].map((b) => b.toString(16).padStart(2, "0")).join(""),
    ]);
    const rng = new HostRng(7, "windows"),
      batch = new MixedWindows(corpus.train, { batch: 4, length: 16, accumulate: 2 }, 7).batch(3);
    for (let row = 0; row < 8; row++) {
      const start = rng.integer(3 * 8 + row, 950 - 16);
      assertEquals([...batch.subarray(row * 17, (row + 1) * 17)], [...bytes.subarray(start, start + 17)]);
    }
    // Nothing was prepared: plain text is read where it lies.
    await assertRejects(() => Deno.stat(`${folder}/cache`), Deno.errors.NotFound);
  }));

Deno.test("corpus: the default text is the addresses of 1790 to 2021 in order", () =>
  withFolder(async (folder) => {
    using corpus = await openCorpus(DEFAULT_RECIPE, { ...options(folder), seqLen: 128 });
    const start = new Int32Array(100);
    corpus.train[0].text.read(0, start);
    assert(
      new TextDecoder().decode(Uint8Array.from(start)).startsWith(
        "Fellow-Citizens of the Senate and House of Representatives",
      ),
    );
    assertEquals([corpus.identity.bytes, corpus.trainBytes, corpus.heldOutBytes], [10_761_622, 10_223_541, 538_081]);
  }));

Deno.test("corpus: texts are mixed by size and weight, and no window spans two", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/a.txt`, "a".repeat(4000));
    await Deno.writeTextFile(`${folder}/b.jsonl`, `${JSON.stringify({ text: "b".repeat(2000) })}\n`);
    await Deno.writeFile(`${folder}/c.parquet`, parquetBytes(["c".repeat(1000)]));
    const sources = [`${folder}/a.txt`, `${folder}/b.jsonl=2`, `${folder}/c.parquet=0.5`];
    using corpus = await openCorpus(recipe({ sources }), options(folder));
    assertEquals([corpus.train.map(({ text }) => text.length), corpus.heldOut.map(({ length }) => length)], [[
      3800,
      1900,
      950,
    ], [200, 100, 50]]);
    const windows = new MixedWindows(corpus.train, { batch: 8, length: 16 }, 1), seen = new Map<number, number>();
    for (let step = 0; step < 500; step++) {
      const batch = windows.batch(step);
      for (let row = 0; row < 8; row++) {
        const window = new Set(batch.subarray(row * 17, (row + 1) * 17));
        assertEquals(window.size, 1);
        const [letter] = window;
        seen.set(letter, (seen.get(letter) ?? 0) + 1);
      }
    }
    const places = { a: 3784, b: 2 * 1884, c: 0.5 * 934 }, total = places.a + places.b + places.c;
    for (const [letter, weight] of Object.entries(places)) {
      const share = seen.get(letter.charCodeAt(0))! / 4000;
      assert(Math.abs(share - weight / total) < 0.03, `${letter}: ${share} instead of ${weight / total}`);
    }
    assertEquals(corpus.identity.name, sources.join(" "));
    assertEquals(corpus.identity.recipe?.sources, sources);
  }));

Deno.test("corpus: a prepared text is found again, and made again when its file, the field or the vocabulary changes", () =>
  withFolder(async (folder) => {
    const path = `${folder}/a.jsonl.gz`,
      lines = (word: string) => `${JSON.stringify({ text: `${word} `.repeat(500), other: "other ".repeat(500) })}\n`;
    await Deno.writeFile(path, await pack(lines("one")));
    const open = async (change: Partial<DataRecipe> = {}): Promise<string> => {
      using corpus = await openCorpus(recipe({ sources: [path], ...change }), options(folder));
      assert((await names(`${folder}/cache`)).every((name) => /^tokens-[0-9a-f]{24}\.(bin|json)$/.test(name)));
      return new TextDecoder().decode(bytesOfTokens(corpus.vocabulary, all(corpus.train[0].text))).slice(0, 7);
    };
    assertEquals(await open(), "one one");
    const first = await names(`${folder}/cache`), { mtime } = await Deno.stat(`${folder}/cache/${first[0]}`);
    assertEquals(await open(), "one one");
    assertEquals([await names(`${folder}/cache`), (await Deno.stat(`${folder}/cache/${first[0]}`)).mtime], [
      first,
      mtime,
    ]);
    assertEquals([await open({ field: "other" }), await open({ vocabulary: "bpe:gpt2" })], ["other o", "one one"]);
    assertEquals((await names(`${folder}/cache`)).length, 6);
    await Deno.writeFile(path, await pack(lines("another")));
    assertEquals(await open(), "another");
    // A file that was cut short in the cache is made again.
    for (const name of await names(`${folder}/cache`)) {
      if (name.endsWith(".bin")) await Deno.truncate(`${folder}/cache/${name}`, 10);
    }
    assertEquals(await open(), "another");
  }));

Deno.test("corpus: in another vocabulary a text has the same words in fewer tokens, and its bytes are counted", () =>
  withFolder(async (folder) => {
    const text = someText(20_000);
    await Deno.writeTextFile(`${folder}/a.txt`, text);
    using corpus = await openCorpus(recipe({ sources: [`${folder}/a.txt`], vocabulary: "bpe:gpt2" }), options(folder));
    const tokens = [...all(corpus.train[0].text), ...all(corpus.heldOut[0])];
    assertEquals(new TextDecoder().decode(bytesOfTokens(corpus.vocabulary, tokens)), text);
    assertEquals(corpus.bytesPerToken, 20_000 / tokens.length);
    assert(corpus.bytesPerToken > 3, `${corpus.bytesPerToken} bytes a token`);
    assertEquals(corpus.trainBytes + corpus.heldOutBytes, 20_000);
  }));

Deno.test("corpus: of text that is not UTF-8, the bytes are counted that the tokens stand for", () =>
  withFolder(async (folder) => {
    const text = encodeLatin1("d\xe9j\xe0 vu, na\xefve. ".repeat(500));
    await Deno.writeFile(`${folder}/a.txt`, text);
    using bytes = await openCorpus(recipe({ sources: [`${folder}/a.txt`] }), options(folder));
    using tokens = await openCorpus(recipe({ sources: [`${folder}/a.txt`], vocabulary: "bpe:gpt2" }), options(folder));
    const ids = [...all(tokens.train[0].text), ...all(tokens.heldOut[0])];
    assertEquals([bytes.identity.bytes, tokens.identity.bytes], [
      text.length,
      bytesOfTokens(tokens.vocabulary, ids).length,
    ]);
    assertEquals(tokens.bytesPerToken, tokens.identity.bytes / ids.length);
  }));

Deno.test("corpus: flags of records and rows that change nothing are noted", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/a.txt`, someText(4000));
    await Deno.writeTextFile(`${folder}/b.jsonl`, JSON.stringify({ body: someText(4000) }));
    using plain = await openCorpus(
      recipe({ sources: [`${folder}/a.txt`], field: "body", header: false }),
      options(folder),
    );
    assertEquals(plain.notes, ["note: --field, --no-header change nothing if no text has records or rows"]);
    using mixed = await openCorpus(
      recipe({ sources: [`${folder}/a.txt`, `${folder}/b.jsonl`], field: "body" }),
      options(folder),
    );
    assertEquals(mixed.notes, [`read ${folder}/b.jsonl: 1 file, 1 record, 4,000 bytes`]);
  }));

Deno.test("corpus: data that is empty, too short or broken is refused in one line, and nothing is left behind", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/empty.txt`, "");
    await Deno.writeTextFile(`${folder}/empty.jsonl`, "\n\n");
    await Deno.writeTextFile(`${folder}/short.txt`, "x".repeat(100));
    await Deno.writeTextFile(`${folder}/broken.jsonl`, `${JSON.stringify({ text: "x".repeat(1e6) })}\n{`);
    const open = async (name: string, change: Partial<DataRecipe> = {}): Promise<void> => {
      using _ = await openCorpus(recipe({ sources: [`${folder}/${name}`], ...change }), {
        ...options(folder),
        seqLen: 128,
      });
    };
    await assertRejects(() => open("none.txt"), UsageError, `no data file ${folder}/none.txt`);
    await assertRejects(() => open("empty.txt"), UsageError, "is empty");
    await assertRejects(() => open("empty.jsonl"), UsageError, "is empty");
    await assertRejects(
      () => open("short.txt"),
      UsageError,
      "has 100 bytes, sequences of 128 need at least 2580 (5% is held out)",
    );
    await assertRejects(() => open("short.txt", { heldOut: 0.1 }), UsageError, "need at least 1290 (10% is held out)");
    await assertRejects(
      () => open("short.txt", { split: "scattered" }),
      UsageError,
      "or hold out its end with --split end",
    );
    await assertRejects(() => open("broken.jsonl"), UsageError, "broken.jsonl line 2 is not valid JSON");
    await assertRejects(
      () => open("stdin", { sources: ["stdin:gone"] }),
      UsageError,
      "the text that came from standard input is no longer in",
    );
    assertEquals(await names(`${folder}/cache`), []);
  }));

Deno.test("corpus: a disk that fills up while a text is prepared leaves no file, and says so", () =>
  withFolder(async (folder) => {
    const full = async (path: string): Promise<Sink> => {
      const file = await Deno.open(path, { write: true, createNew: true });
      let left = 1000;
      return {
        write: async (bytes) => {
          if (left === 0) throw Object.assign(new Error("No space left on device (os error 28)"), { code: "ENOSPC" });
          const written = await file.write(bytes.subarray(0, left));
          left -= written;
          return written;
        },
        sync: () => file.sync(),
        close: () => file.close(),
      };
    };
    const build = { folder, name: "x", vocabulary: BYTES, create: full };
    const message =
      `cannot write to the data cache ${folder}: the disk is full; free some space, or choose another folder with --cache DIR`;
    await assertRejects(
      () => buildTokens("key", asDocument(inPieces("x".repeat(3000), 400)), build),
      CommandError,
      message,
    );
    assertEquals(await names(folder), []);
    // What fits is kept.
    assertEquals((await buildTokens("key", asDocument(inPieces("x".repeat(1000), 400)), build)).textBytes, 1000);
    assertEquals(await names(folder), ["tokens-key.bin", "tokens-key.json"]);
    // What a killed program left a day ago goes; what may still be written stays.
    for (const [name, age] of [["tokens-old.part", 25], ["tokens-new.part", 1]] as const) {
      await Deno.writeTextFile(`${folder}/${name}`, "x");
      await Deno.utime(`${folder}/${name}`, new Date(), new Date(Date.now() - age * 3600 * 1000));
    }
    await buildTokens("key", asDocument(inPieces("x", 1)), build);
    assertEquals(await names(folder), ["tokens-key.bin", "tokens-key.json", "tokens-new.part"]);
    // A place that is no folder.
    const inFile = { ...build, folder: `${folder}/tokens-key.bin` };
    await assertRejects(
      () => buildTokens("key", asDocument(inPieces("x", 1)), inFile),
      CommandError,
      "choose another folder with --cache DIR",
    );
  }));

Deno.test("corpus: a long text is known by its length, its ends and pieces between them", async () => {
  const length = 2 ** 26 + 12345;
  const source = (changed = -1, longer = 0): TokenSource => ({
    length: length + longer,
    read: (start, into) => {
      for (let i = 0; i < into.length; i++) into[i] = (start + i) % 251 + (start + i === changed ? 1 : 0);
    },
  });
  const print = await fingerprint(source(), true);
  assertEquals(await fingerprint(source(), true), print);
  for (const other of [source(0), source(length - 1), source(-1, 1)]) assert(await fingerprint(other, true) !== print);
});

Deno.test("corpus: what is prepared for long shows how far it is", () => {
  const lines: string[] = [];
  let now = 0;
  const progress = readingProgress({
    what: "preparing a.jsonl",
    total: 4e9,
    note: (line) => lines.push(line),
    now: () => now,
  });
  for (now = 0; now <= 12_000; now += 1000) progress(now * 1e5);
  assertEquals(lines, [
    "preparing a.jsonl: 500 of 4,000 MB (12%), 100.0 MB/s",
    "preparing a.jsonl: 1,000 of 4,000 MB (25%), 100.0 MB/s",
  ]);
});

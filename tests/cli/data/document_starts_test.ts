/** Where the documents of texts begin, whatever they come from and whatever their tokens are. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { openCorpus } from "../../../cli/data/corpus.ts";
import type { DocumentPiece } from "../../../cli/data/documents.ts";
import { partOf } from "../../../cli/data/part_of.ts";
import { type DataRecipe, DEFAULT_RECIPE } from "../../../cli/data/recipe.ts";
import { buildTokens, cachedStarts, findTokens } from "../../../cli/data/token_cache.ts";
import { TokenEncoder } from "../../../cli/data/token_encoder.ts";
import { TokenFile } from "../../../cli/data/token_file.ts";
import { BYTES, bytesOfTokens, openVocabulary, type Vocabulary } from "../../../cli/data/vocabulary.ts";
import { UsageError } from "../../../cli/errors.ts";
import type { TokenSource } from "../../../titans/mod.ts";
import { withFolder } from "../scratch.ts";
import { pack, parquetBytes } from "./data_files.ts";

const recipe = (change: Partial<DataRecipe>): DataRecipe => ({ ...DEFAULT_RECIPE, ...change });
const options = (folder: string) => ({ seqLen: 4, seed: 0, cache: `${folder}/cache`, documents: true });

/** The tokens of each document of a text; of a text that names none, of all of it. */
function documentsOf(text: TokenSource): number[][] {
  const starts = new Float64Array(text.documents?.count ?? 1);
  text.documents?.read(0, starts);
  return Array.from(starts, (start, i) => {
    const tokens = new Int32Array((starts[i + 1] ?? text.length) - start);
    text.read(start, tokens);
    return Array.from(tokens);
  });
}

function decode(vocabulary: Vocabulary, documents: readonly (readonly number[])[]): string[] {
  return documents.map((tokens) => new TextDecoder().decode(bytesOfTokens(vocabulary, tokens)));
}

Deno.test("documents: files, records and rows are found where they begin, in bytes and in other tokens", () =>
  withFolder(async (folder) => {
    const texts = Array.from({ length: 40 }, (_, i) => `${"naïve words ".repeat(1 + i % 5)}of document ${i}.`);
    const lines = (own: readonly string[]): string => own.map((text) => `${JSON.stringify({ text })}\n`).join("");
    await Deno.mkdir(`${folder}/books/more`, { recursive: true });
    for (const [i, text] of texts.entries()) {
      await Deno.writeTextFile(`${folder}/books/${String(i).padStart(2, "0")}.txt`, text);
    }
    await Deno.writeTextFile(`${folder}/books/10a.txt`, "");
    await Deno.writeTextFile(`${folder}/a.jsonl`, lines([...texts.slice(0, 7), "", ...texts.slice(7)]));
    await Deno.writeFile(`${folder}/b.jsonl.gz`, await pack(lines(texts)));
    await Deno.writeTextFile(`${folder}/c.csv`, `id,text\n${texts.map((text, i) => `${i},"${text}"\n`).join("")}`);
    await Deno.writeFile(`${folder}/d.parquet`, parquetBytes(texts, { rowGroupSize: 7 }));
    const expected = texts.map((text, i) => i + 1 < texts.length ? `${text}\n\n` : text);
    for (const vocabulary of ["bytes", "bpe:gpt2"]) {
      for (const place of ["books", "a.jsonl", "b.jsonl.gz", "c.csv", "d.parquet"]) {
        for (let time = 0; time < 2; time++) {
          using corpus = await openCorpus(
            recipe({ sources: [`${folder}/${place}`], vocabulary, heldOut: 0.1 }),
            options(folder),
          );
          assertEquals(corpus.identity.documents, 40, place);
          const train = decode(corpus.vocabulary, documentsOf(corpus.train[0].text)),
            heldOut = decode(corpus.vocabulary, documentsOf(corpus.heldOut[0]));
          // What is held out begins within a document.
          const border = train.length - 1;
          assertEquals(
            [...train.slice(0, border), train[border] + heldOut[0], ...heldOut.slice(1)].join("|"),
            expected.join("|"),
            `${place} in ${vocabulary}`,
          );
        }
      }
    }
    await Deno.writeTextFile(`${folder}/one.txt`, texts.join("\n\n"));
    using corpus = await openCorpus(recipe({ sources: [`${folder}/one.txt`] }), options(folder));
    assertEquals([corpus.identity.documents, documentsOf(corpus.train[0].text).length], [1, 1]);
  }));

Deno.test("documents: the default text is one of speeches", () =>
  withFolder(async (folder) => {
    using corpus = await openCorpus(DEFAULT_RECIPE, options(folder));
    const documents = documentsOf(corpus.train[0].text), [first, second] = decode(BYTES, documents);
    assertEquals([corpus.identity.documents! > 200, first.slice(0, 15), second.slice(0, 15)], [
      true,
      "Fellow-Citizens",
      "Fellow-Citizens",
    ]);
    assert(first.endsWith("\n\n") && documents.every(({ length }) => length > 500));
  }));

Deno.test("documents: they change no token, and each begins with the first token that has none of the text before it", async () => {
  const vocabulary = await openVocabulary("bpe:cl100k");
  const texts = [
    "One.",
    "\n\n two",
    "",
    "🎉",
    "\n",
    " ",
    "three  ",
    "ends here.\n".repeat(6500),
    "x".repeat(5000),
    "é",
    "\n\n\n",
    "last\n",
  ];
  const whole = new TextEncoder().encode(texts.join(""));
  const read = (bytes: Uint8Array): number[] => Array.from(new Uint32Array(bytes.slice().buffer));
  const plain = new TokenEncoder(vocabulary), expected = [...read(plain.next(whole)), ...read(plain.end())];
  for (const size of [997, 1 << 20]) {
    const encoder = new TokenEncoder(vocabulary), tokens: number[] = [], starts: number[] = [], places: number[] = [];
    let bytes = 0;
    const take = (ids: Uint8Array): void => {
      tokens.push(...read(ids));
      starts.push(...encoder.takeStarts());
    };
    for (const text of texts.filter((text) => text !== "")) {
      encoder.begin();
      places.push(bytes);
      const own = new TextEncoder().encode(text);
      for (let at = 0; at < own.length; at += size) take(encoder.next(own.subarray(at, at + size)));
      bytes += own.length;
    }
    take(encoder.end());
    assertEquals(tokens, expected, `pieces of ${size}`);
    const begins = [0];
    for (const token of tokens) begins.push(begins.at(-1)! + vocabulary.bytesOf(token).length);
    assertEquals(starts, places.map((place) => begins.findIndex((begin) => begin >= place)));
  }
});

Deno.test("documents: a part of a text has its own, the first from where the part begins", () => {
  const lengths = [5, 1, 0, 7, 3, 10],
    starts = lengths.map((_, i) => lengths.slice(0, i).reduce((sum, length) => sum + length, 0));
  const text: TokenSource = {
    length: 26,
    read: (at, into) => into.forEach((_, i) => into[i] = at + i),
    documents: { count: 6, read: (first, into) => into.set(starts.slice(first, first + into.length)) },
  };
  for (let start = 0; start < 26; start++) {
    for (let end = start + 1; end <= 26; end++) {
      const expected = starts.map((begin, i) =>
        Array.from({ length: lengths[i] }, (_, at) => begin + at).filter((token) => token >= start && token < end)
      );
      const found = documentsOf(partOf(text, [start, end]));
      assertEquals(
        found.filter(({ length }) => length > 0),
        expected.filter(({ length }) => length > 0),
        `from ${start} to ${end}`,
      );
    }
  }
  const { documents } = partOf(text, [3, 20]), all = new Float64Array(documents!.count), [one] = [new Float64Array(1)];
  documents!.read(0, all);
  for (const [i, start] of all.entries()) {
    documents!.read(i, one);
    assertEquals(one[0], start);
  }
});

Deno.test("documents: places that do not fit in memory lie beside the tokens, and tokens that came without them are made again if they are asked for", () =>
  withFolder(async (folder) => {
    const count = 140_000, build = { folder, name: "x", vocabulary: BYTES };
    const pieces = async function* (): AsyncGenerator<DocumentPiece> {
      for (let i = 0; i < count; i++) yield await Promise.resolve({ bytes: new Uint8Array(1 + i % 3), starts: true });
    };
    const built = await buildTokens("key", pieces(), build);
    assertEquals([built.documents, (await Deno.stat(`${folder}/tokens-key.documents`)).size], [count, 8 * count]);
    const found = (await findTokens("key", folder, true))!;
    assertEquals(found, built);
    using file = new TokenFile(found, 1, cachedStarts(found));
    const some = new Float64Array(4);
    file.documents!.read(99_999, some);
    assertEquals([...some], [199_998, 199_999, 200_001, 200_004]);
    await Deno.truncate(`${folder}/tokens-key.documents`, 8);
    assertEquals([await findTokens("key", folder, true), (await findTokens("key", folder, false))?.sizeBytes], [
      undefined,
      built.sizeBytes,
    ]);

    // As it was written before anybody asked for documents.
    const path = `${folder}/a.jsonl`,
      before = async (): Promise<void> => {
        for await (const { name } of Deno.readDir(`${folder}/cache`)) {
          if (name.endsWith(".documents")) await Deno.remove(`${folder}/cache/${name}`);
          if (!name.endsWith(".json")) continue;
          const { documents: _, ...facts } = JSON.parse(await Deno.readTextFile(`${folder}/cache/${name}`));
          await Deno.writeTextFile(`${folder}/cache/${name}`, JSON.stringify(facts));
        }
      };
    await Deno.writeTextFile(path, '{"text":"one and only one"}\n{"text":"two and one more"}\n'.repeat(40));
    const open = async (documents: boolean): Promise<number | undefined> => {
      using corpus = await openCorpus(recipe({ sources: [path], heldOut: 0.2 }), { ...options(folder), documents });
      return corpus.train[0].text.documents?.count;
    };
    assertEquals(await open(false), 64);
    await before();
    assertEquals([await open(false), await open(true)], [undefined, 64]);
    await before();
    const key = (await Array.fromAsync(Deno.readDir(`${folder}/cache`))).map(({ name }) =>
      /^tokens-(.*)\.json$/.exec(name)?.[1]
    ).find(Boolean);
    const kept = openCorpus(recipe({ sources: [`stdin:${key}`] }), options(folder));
    await assertRejects(
      () => kept,
      UsageError,
      "which --stream needs, were not recorded: give the text again with --data -",
    );
  }));

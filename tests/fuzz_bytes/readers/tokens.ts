/** Bytes as tokens and back, and the files of tokens in the cache. */
import { cachedStarts, findTokens } from "../../../cli/data/token_cache.ts";
import { tokensOf } from "../../../cli/data/token_encoder.ts";
import { TokenFile } from "../../../cli/data/token_file.ts";
import { BYTES, bytesOfTokens, openVocabulary, TokenDecoder, type Vocabulary } from "../../../cli/data/vocabulary.ts";
import { letters } from "../mutate.ts";
import type { ByteReader } from "../reader.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

let gpt2: Promise<Vocabulary> | undefined;

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.slice(at, at + size));
}

/** Any bytes become tokens, however they come, and these the same text again. */
async function roundTrip(bytes: Uint8Array): Promise<void> {
  const vocabulary = await (gpt2 ??= openVocabulary("bpe:gpt2")), short = bytes.subarray(0, 4096);
  const tokens: number[] = [];
  for await (const some of tokensOf(pieces(short, 1 + bytes.length % 97), vocabulary)) {
    for (const token of some) tokens.push(token);
  }
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(short), back = bytesOfTokens(vocabulary, tokens);
  if (new TextDecoder("utf-8", { ignoreBOM: true }).decode(back) !== text) {
    throw new Error("tokens stand for another text");
  }
}

/** Any token ids, also such as no vocabulary has, can be shown. */
async function show(bytes: Uint8Array): Promise<void> {
  const isBytes = bytes.length % 2 === 0,
    decoder = new TokenDecoder(isBytes ? BYTES : await (gpt2 ??= openVocabulary("bpe:gpt2")));
  let text = "";
  for (let i = 0; i + 4 <= bytes.length; i += 4) {
    text += decoder.next(isBytes ? bytes[i] : (bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] % 2 << 16)));
  }
  text += decoder.end();
  if (text.includes("\ufeff") && !isBytes) return;
}

const FOLDER = `.scratch/fuzz_tokens_${crypto.randomUUID().slice(0, 8)}`;
const FACTS =
  '{"sizeBytes":40,"textBytes":40,"documents":3,"read":{"files":1,"rows":3,"withoutText":0,"badRows":0},"vocabulary":"bytes"}\n';

/**
 * Files in the cache that another version or a bad disk wrote: taken as they are if they can be, made again otherwise.
 */
async function cache(bytes: Uint8Array): Promise<void> {
  await Deno.mkdir(FOLDER, { recursive: true });
  try {
    const starts = new Uint8Array(Float64Array.of(0, 13, 26).buffer), isFacts = bytes[0] === 0x7b;
    await Deno.writeFile(`${FOLDER}/tokens-a.bin`, new Uint8Array(40));
    await Deno.writeFile(`${FOLDER}/tokens-a.documents`, isFacts ? starts : bytes);
    await Deno.writeFile(`${FOLDER}/tokens-a.json`, isFacts ? bytes : encode(FACTS));
    for (const documents of [false, true]) {
      const found = await findTokens("a", FOLDER, documents);
      if (!found) continue;
      using file = new TokenFile(found, 1, documents ? cachedStarts(found) : undefined);
      file.read(0, new Int32Array(Math.min(40, file.length)));
      const count = file.documents?.count ?? 0, into = new Float64Array(Math.min(count, 100));
      file.documents?.read(0, into);
    }
  } finally {
    await Deno.remove(FOLDER, { recursive: true });
  }
}

/** The readers. */
export const TOKEN_READERS: readonly ByteReader[] = [
  {
    name: "utf8",
    weight: 6,
    seeds: [
      encode("naïve 🎉 text, of words\nand lines 12345\n\n  gaps"),
      letters("\xff\xfe\x80abc"),
      encode("\u0085\u2028\ufeff"),
    ],
    read: roundTrip,
  },
  { name: "tokens", weight: 10, seeds: [letters("\xf0\x9f\x8e\x89".repeat(20)), encode("some tokens")], read: show },
  { name: "cache", weight: 1, seeds: [encode(FACTS), new Uint8Array(Float64Array.of(0, 13, 26).buffer)], read: cache },
];

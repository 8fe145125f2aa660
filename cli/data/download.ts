/**
 * Downloads into the cache. A file appears there only when it is whole and its hash is right; what came before a connection broke is kept beside it, and
 * the next attempt goes on from there if the server still has the same file.
 *
 *     downloads/KEY-NAME             the file
 *     downloads/KEY-NAME.json        its size and hash; written last
 *     downloads/KEY-NAME.part        what has come so far
 *     downloads/KEY-NAME.part.json   of which version of the file
 */
import { createHash, type Hash } from "node:crypto";
import { CommandError, UsageError } from "../errors.ts";
import { readTextIfAny, writeAtomic } from "../files.ts";
import { writing } from "./cache.ts";
import { readPieces } from "./read_file.ts";
import { readingProgress } from "./reading_progress.ts";
import { addressOf, type DownloadFacts, downloadFacts, downloadPath } from "./remote.ts";
import { openResponse, type RemoteFile } from "./remote_file.ts";

/** Options of {@link download}. */
export interface DownloadOptions {
  /** The cache folder. */
  readonly cache: string;
  /** The hash that the file must have, in hexadecimal digits. */
  readonly sha256?: string;
  /** Where Hugging Face, or a mirror of it, is. */
  readonly endpoint?: string;
  /** Whether to fetch a file again that is there. */
  readonly again?: boolean;
  /** Hears lines for people. */
  readonly note?: (line: string) => void;
  /** Whether somebody asked to stop. */
  readonly stopped?: () => boolean;
}

/** A file in the cache. */
export interface Download extends DownloadFacts {
  readonly path: string;
  /** Whether it was there already. */
  readonly wasThere: boolean;
}

/**
 * Fetches a file into the cache, unless it is there.
 * @param place A URL, or a path on Hugging Face; see {@link addressOf}.
 * @throws {UsageError} if the place is no address, {CommandError} if it cannot be had, the connection breaks, its size or hash is wrong, or it cannot be written.
 */
export async function download(place: string, options: DownloadOptions): Promise<Download> {
  const path = await downloadPath(place, options.cache), url = addressOf(place, options.endpoint);
  const wanted = options.sha256?.toLowerCase();
  if (wanted !== undefined && !/^[0-9a-f]{64}$/.test(wanted)) throw new UsageError(`--sha256 cannot be ${options.sha256}: it is 64 hexadecimal digits`);
  const there = options.again ? undefined : await downloadFacts(path);
  if (there) {
    if (wanted === undefined || there.sha256 === wanted) return { ...there, path, wasThere: true };
    throw new CommandError(`${path} has the SHA-256 ${there.sha256}, not ${wanted}: fetch it anew with --again, or correct --sha256`);
  }
  await writing(options.cache, () => Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true }));
  const part = `${path}.part`, begun = await beginning(part, place);
  const remote = await openResponse(url, { isHub: place.startsWith("hf:"), from: begun });
  const { etag } = remote;
  try {
    if (remote.start === 0) await writing(options.cache, () => writeAtomic(`${part}.json`, JSON.stringify({ place, etag })));
    const hashes = await receive(part, remote, { place, ...options });
    const sizeBytes = (await Deno.stat(part)).size;
    await check(part, { place, sizeBytes, hashes, remote, wanted });
    const facts: DownloadFacts = { place, sizeBytes, sha256: hashes.sha256, etag };
    await writing(options.cache, async () => {
      await Deno.rename(part, path);
      await writeAtomic(`${path}.json`, `${JSON.stringify(facts)}\n`);
    });
    await Deno.remove(`${part}.json`).catch(() => {});
    return { ...facts, path, wasThere: false };
  } finally {
    await remote.body.cancel().catch(() => {});
  }
}

/** How much of a place has come, and of which version. */
async function beginning(part: string, place: string): Promise<{ bytes: number; etag: string } | undefined> {
  const text = await readTextIfAny(`${part}.json`), info = await Deno.stat(part).catch(() => undefined);
  if (text === undefined || !info || info.size === 0) return undefined;
  try {
    const stored = JSON.parse(text) as { place?: string; etag?: string };
    return stored.place === place && stored.etag ? { bytes: info.size, etag: stored.etag } : undefined;
  } catch {
    return undefined;
  }
}

interface Hashes {
  readonly sha256: string;
  /** What git calls the file, where its size was known in time. */
  readonly gitBlob?: string;
}

/** Writes what comes behind what has come, and hashes all of it. */
async function receive(part: string, remote: RemoteFile, { place, cache, note, stopped }: DownloadOptions & { place: string }): Promise<Hashes> {
  const sha256 = createHash("sha256"), hashes: Hash[] = [sha256];
  const gitBlob = remote.sizeBytes === undefined ? undefined : createHash("sha1").update(`blob ${remote.sizeBytes}\0`);
  if (gitBlob) hashes.push(gitBlob);
  const hash = (piece: Uint8Array): void => hashes.forEach((one) => one.update(piece));
  const file = await writing(cache, () => Deno.open(part, { write: true, create: true, truncate: remote.start === 0, append: remote.start > 0 }));
  let received = remote.start;
  const progress = readingProgress({ what: `fetching ${place}`, total: remote.sizeBytes ?? 0, note });
  try {
    if (remote.start > 0) { for await (const piece of readPieces(part, "--data")) hash(piece); }
    for await (const piece of remote.pieces()) {
      if (stopped?.()) throw new CommandError(`stopped after ${received} bytes of ${place}: run the same command to go on from there`);
      hash(piece);
      for (let rest = piece; rest.length > 0;) {
        const written = await writing(cache, () => file.write(rest));
        rest = rest.subarray(written);
      }
      progress(received += piece.length);
    }
    await writing(cache, () => file.sync());
  } finally {
    file.close();
  }
  return { sha256: sha256.digest("hex"), gitBlob: gitBlob?.digest("hex") };
}

/** Refuses a file of the wrong size or hash, and removes it where going on would not mend it. */
async function check(
  part: string,
  { place, sizeBytes, hashes, remote, wanted }: { place: string; sizeBytes: number; hashes: Hashes; remote: RemoteFile; wanted?: string },
): Promise<void> {
  const { sizeBytes: expected, sha256, gitBlob } = remote;
  if (expected !== undefined && sizeBytes < expected) {
    throw new CommandError(`the connection ended after ${sizeBytes} of ${expected} bytes of ${place}: run the same command to go on from there`);
  }
  const found = (kind: string, is: string, should: string, source: string): string | undefined =>
    is === should ? undefined : `${place} has the ${kind} ${is}, and ${source} ${should}`;
  const wrong = (expected === undefined ? undefined : found("size", String(sizeBytes), String(expected), "the server said")) ??
    (wanted === undefined ? undefined : found("SHA-256", hashes.sha256, wanted, "--sha256 says")) ??
    (sha256 === undefined ? undefined : found("SHA-256", hashes.sha256, sha256, "the hub says")) ??
    (gitBlob === undefined || hashes.gitBlob === undefined ? undefined : found("git hash", hashes.gitBlob, gitBlob, "the hub says"));
  if (wrong === undefined) return;
  for (const leftover of [part, `${part}.json`]) await Deno.remove(leftover).catch(() => {});
  throw new CommandError(`${wrong}: nothing was kept; fetch it again, and if it happens again do not trust the server`);
}

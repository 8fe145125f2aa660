/**
 * Downloads files into the cache. A file appears there only when it is complete and its hash is correct. A partial
 * download is kept next to it, and the next attempt continues from there if the file on the server is unchanged.
 *
 *     downloads/KEY-NAME             the file
 *     downloads/KEY-NAME.json        its size and hash; written last
 *     downloads/KEY-NAME.part        what has come so far
 *     downloads/KEY-NAME.part.json   of which version of the file, and how much of it is on the disk for certain, with its hash
 *
 * Data that a power failure may have damaged is downloaded again: a download continues only from what the last of these
 * records confirms.
 */
import { createHash, type Hash } from "node:crypto";
import { CommandError, UsageError } from "../errors.ts";
import { readTextIfAny, syncFolderOf, writeAtomic } from "../files.ts";
import { openLocked } from "../lock.ts";
import { writing } from "./cache.ts";
import { readingProgress } from "./reading_progress.ts";
import { addressOf, type DownloadFacts, downloadFacts, downloadPath } from "./remote.ts";
import { openResponse, type RemoteFile } from "./remote_file.ts";

/** Options of {@link download}. */
export interface DownloadOptions {
  /** The cache folder. */
  readonly cache: string;
  /** The expected hash of the file, in hexadecimal. */
  readonly sha256?: string;
  /** The address of Hugging Face or of a mirror. */
  readonly endpoint?: string;
  /** Whether to download a file that is already in the cache again. */
  readonly again?: boolean;
  /** Receives messages. */
  readonly note?: (line: string) => void;
  /** Whether a stop was requested. */
  readonly stopped?: () => boolean;
}

/** A file in the cache. */
export interface Download extends DownloadFacts {
  readonly path: string;
  /** Whether it was already in the cache. */
  readonly wasThere: boolean;
}

/**
 * Downloads a file into the cache, unless it is already there.
 * @param place A URL, or a path on Hugging Face; see {@link addressOf}.
 * @throws {UsageError} if the place is not an address, {CommandError} if the file is not available, the connection
 * breaks, the size or hash is wrong, or the file cannot be written.
 */
export async function download(place: string, options: DownloadOptions): Promise<Download> {
  const path = await downloadPath(place, options.cache), url = addressOf(place, options.endpoint);
  const wanted = options.sha256?.toLowerCase();
  if (wanted !== undefined && !/^[0-9a-f]{64}$/.test(wanted)) {
    throw new UsageError(`--sha256 cannot be ${options.sha256}: it is 64 hexadecimal digits`);
  }
  const there = options.again ? undefined : await downloadFacts(path);
  if (there) {
    if (wanted === undefined || there.sha256 === wanted) return { ...there, path, wasThere: true };
    throw new CommandError(
      `${path} has the SHA-256 ${there.sha256}, not ${wanted}: download it again with --again, or correct --sha256`,
    );
  }
  await writing(options.cache, () => Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true }));
  const file = await writing(options.cache, () => openLocked(`${path}.part`));
  if (!file) {
    throw new CommandError(
      `${place} is being downloaded by another process: wait for it, or stop it and run the same command to continue`,
    );
  }
  try {
    return await fetchInto(file, { path, url, place, wanted, options });
  } finally {
    // Without a response nothing is left behind.
    if ((await file.stat()).size === 0) await Deno.remove(`${path}.part`).catch(() => {});
    file.close();
  }
}

interface Task {
  /** The path of the file. */
  readonly path: string;
  readonly url: URL;
  readonly place: string;
  /** Its expected hash, if known. */
  readonly wanted?: string;
  readonly options: DownloadOptions;
}

/** Downloads the rest of a partial file, and moves it into place once it is complete and correct. */
async function fetchInto(file: Deno.FsFile, task: Task): Promise<Download> {
  const { path, url, place, wanted, options: { cache } } = task,
    part = `${path}.part`,
    begun = await beginning(file, part, place);
  const remote = await openResponse(url, { isHub: place.startsWith("hf:"), from: begun });
  const { etag } = remote;
  try {
    const hashes = await receive(file, remote, { ...task, begun });
    // The partial file is not what had been received.
    if (hashes === undefined) return await fetchInto(file, task);
    const sizeBytes = (await file.stat()).size;
    await check(part, { place, sizeBytes, hashes, remote, wanted });
    const facts: DownloadFacts = { place, sizeBytes, sha256: hashes.sha256, etag };
    await writing(cache, async () => {
      await Deno.rename(part, path);
      await syncFolderOf(path);
      await writeAtomic(`${path}.json`, `${JSON.stringify(facts)}\n`);
    });
    await Deno.remove(`${part}.json`).catch(() => {});
    return { ...facts, path, wasThere: false };
  } finally {
    await remote.body.cancel().catch(() => {});
  }
}

/** How much of a file is guaranteed to be on the disk. */
interface Begun {
  readonly place: string;
  readonly etag: string;
  readonly bytes: number;
  /** SHA-256 of these bytes. */
  readonly sha256: string;
}

/** The record of a partial file from which a download can continue. */
async function beginning(file: Deno.FsFile, part: string, place: string): Promise<Begun | undefined> {
  const text = await readTextIfAny(`${part}.json`), { size } = await file.stat();
  if (text === undefined) return undefined;
  try {
    const { place: of, etag, bytes, sha256 } = JSON.parse(text) as Partial<Begun>;
    if (
      of !== place || !etag || typeof sha256 !== "string" || typeof bytes !== "number" || !(bytes > 0 && bytes <= size)
    ) return undefined;
    return { place, etag, bytes, sha256 };
  } catch {
    return undefined;
  }
}

interface Hashes {
  readonly sha256: string;
  /** The git blob hash of the file, if its size was known in advance. */
  readonly gitBlob?: string;
}

// Interval between records: what arrives in it may have to be downloaded again after a power failure.
const RECORD_MS = 1000;

/**
 * Appends the response to the partial file and hashes all of it; undefined if the partial file does not match its
 * record, in which case it is removed.
 */
async function receive(
  file: Deno.FsFile,
  remote: RemoteFile,
  { path, place, begun, options }: Task & { begun?: Begun },
): Promise<Hashes | undefined> {
  const { cache, note, stopped } = options, record = `${path}.part.json`;
  const sha256 = createHash("sha256"), hashes: Hash[] = [sha256];
  const gitBlob = remote.sizeBytes === undefined ? undefined : createHash("sha1").update(`blob ${remote.sizeBytes}\0`);
  if (gitBlob) hashes.push(gitBlob);
  const hash = (piece: Uint8Array): void => hashes.forEach((one) => one.update(piece));
  await writing(cache, () => file.truncate(remote.start));
  await file.seek(0, Deno.SeekMode.Start);
  if (remote.start > 0) {
    for await (const piece of piecesOf(file)) hash(piece);
    if (sha256.copy().digest("hex") !== begun!.sha256) {
      await Deno.remove(record);
      return undefined;
    }
  }
  let received = remote.start, recordedMs = performance.now();
  const keep = async (): Promise<void> => {
    await writing(cache, () => file.sync());
    recordedMs = performance.now();
    const { etag } = remote;
    if (etag) {
      await writing(
        cache,
        () =>
          writeAtomic(record, JSON.stringify({ place, etag, bytes: received, sha256: sha256.copy().digest("hex") })),
      );
    }
  };
  const progress = readingProgress({ what: `downloading ${place}`, total: remote.sizeBytes ?? 0, note });
  // The partial file may be of another version.
  if (remote.start === 0) await Deno.remove(record).catch(() => {});
  try {
    for await (const piece of remote.pieces()) {
      if (stopped?.()) {
        throw new CommandError(
          `stopped after ${received} bytes of ${place}: run the same command to continue from there`,
        );
      }
      for (let rest = piece; rest.length > 0;) {
        const written = await writing(cache, () => file.write(rest));
        rest = rest.subarray(written);
      }
      hash(piece);
      progress(received += piece.length);
      if (performance.now() - recordedMs >= RECORD_MS) await keep();
    }
  } catch (error) {
    // The reason for the end is reported, not the failure to record it.
    if (received > 0) await keep().catch(() => {});
    throw error;
  }
  await keep();
  return { sha256: sha256.digest("hex"), gitBlob: gitBlob?.digest("hex") };
}

async function* piecesOf(file: Deno.FsFile): AsyncGenerator<Uint8Array> {
  const piece = new Uint8Array(1 << 18);
  for (let count = await file.read(piece); count !== null; count = await file.read(piece)) {
    yield piece.subarray(0, count);
  }
}

/** Rejects a file with the wrong size or hash, and removes it if continuing would not repair it. */
async function check(
  part: string,
  { place, sizeBytes, hashes, remote, wanted }: {
    place: string;
    sizeBytes: number;
    hashes: Hashes;
    remote: RemoteFile;
    wanted?: string;
  },
): Promise<void> {
  const { sizeBytes: expected, sha256, gitBlob } = remote;
  if (expected !== undefined && sizeBytes < expected) {
    throw new CommandError(
      `the connection ended after ${sizeBytes} of ${expected} bytes of ${place}: run the same command to continue from there`,
    );
  }
  const found = (kind: string, is: string, should: string, source: string): string | undefined =>
    is === should ? undefined : `${place} has the ${kind} ${is}, and ${source} ${should}`;
  const wrong =
    (expected === undefined ? undefined : found("size", String(sizeBytes), String(expected), "the server said")) ??
      (wanted === undefined ? undefined : found("SHA-256", hashes.sha256, wanted, "--sha256 says")) ??
      (sha256 === undefined ? undefined : found("SHA-256", hashes.sha256, sha256, "the hub says")) ??
      (gitBlob === undefined || hashes.gitBlob === undefined
        ? undefined
        : found("git hash", hashes.gitBlob, gitBlob, "the hub says"));
  if (wrong === undefined) return;
  for (const leftover of [part, `${part}.json`]) await Deno.remove(leftover).catch(() => {});
  throw new CommandError(
    `${wrong}: nothing was kept; download it again, and if it happens again do not trust the server`,
  );
}

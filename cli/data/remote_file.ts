/**
 * Requests a file from a server, optionally from an offset on, through redirections, with the size and hash that the
 * server reports.
 */
import { CommandError } from "../errors.ts";

/** A file on a server. */
export interface RemoteFile {
  /** Size of the whole file, if the server reports it. */
  readonly sizeBytes?: number;
  readonly etag?: string;
  /** The file's SHA-256, if the hub reports it. */
  readonly sha256?: string;
  /** The file's git blob hash, if the hub reports it. */
  readonly gitBlob?: string;
  /** The offset of the body in the file. */
  readonly start: number;
  readonly body: ReadableStream<Uint8Array>;
  /** The body. @throws {CommandError} if no data arrives for a minute or the connection breaks. */
  pieces(): AsyncGenerator<Uint8Array>;
}

/** Options of a request. */
export interface RemoteOptions {
  /** Whether the server is Hugging Face or a mirror, whose headers contain a file's hash. */
  readonly isHub: boolean;
  /** What has already been downloaded. */
  readonly from?: { readonly bytes: number; readonly etag: string };
}

const MOST_REDIRECTIONS = 10;
const SILENCE_MS = 60_000;

/** Asks for a file. @throws {CommandError} if it is not available. */
export async function openResponse(url: URL, { isHub, from }: RemoteOptions): Promise<RemoteFile> {
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (from) Object.assign(headers, { range: `bytes=${from.bytes}-`, "if-range": from.etag });
  let address = url, linkedSize: string | null = null, linkedTag: string | null = null;
  const abort = new AbortController();
  for (let n = 0; n <= MOST_REDIRECTIONS; n++) {
    const response = await silenceEnds(
      abort,
      url,
      fetch(address, { headers, redirect: "manual", signal: abort.signal }),
    );
    linkedSize ??= response.headers.get("x-linked-size");
    linkedTag ??= response.headers.get("x-linked-etag");
    const location = response.headers.get("location");
    if (response.status >= 300 && response.status < 400 && location !== null) {
      await response.body?.cancel();
      address = new URL(location, address);
      continue;
    }
    if (response.status === 416 && from) {
      // There is nothing after the partial file: the file has changed.
      await response.body?.cancel();
      return await openResponse(url, { isHub });
    }
    if (!response.ok || !response.body) {
      await response.body?.cancel();
      throw refused(url, response.status);
    }
    return remoteFile(response, { url, abort, isHub, from, linkedSize, linkedTag });
  }
  throw new CommandError(
    `cannot fetch ${url}: it is redirected more than ${MOST_REDIRECTIONS} times; check the address`,
  );
}

function remoteFile(
  response: Response,
  facts: RemoteOptions & { url: URL; abort: AbortController; linkedSize: string | null; linkedTag: string | null },
): RemoteFile {
  const { url, abort, isHub, from, linkedSize, linkedTag } = facts, { headers } = response, body = response.body!;
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get("content-range") ?? "");
  const partial = response.status === 206 && range !== null && Number(range[1]) === from?.bytes;
  if (response.status === 206 && !partial) {
    throw new CommandError(`cannot fetch ${url}: the server sent a different part of the file than requested`);
  }
  const plain = headers.get("content-encoding") === null;
  const size = partial ? range[2] : plain ? headers.get("content-length") : null;
  const tag = unquoted(linkedTag ?? headers.get("etag"));
  return {
    sizeBytes: readSize(linkedSize) ?? readSize(size),
    etag: headers.get("etag") ?? undefined,
    sha256: isHub && /^[0-9a-f]{64}$/.test(tag) ? tag : undefined,
    gitBlob: isHub && /^[0-9a-f]{40}$/.test(tag) ? tag : undefined,
    start: partial ? from!.bytes : 0,
    body,
    pieces: async function* () {
      const reader = body.getReader();
      try {
        for (;;) {
          const { value, done } = await silenceEnds(abort, url, reader.read());
          if (done) return;
          yield value;
        }
      } finally {
        reader.releaseLock();
      }
    },
  };
}

/** Waits for the network, with a timeout. */
async function silenceEnds<T>(abort: AbortController, url: URL, answer: Promise<T>): Promise<T> {
  const timer = setTimeout(() => abort.abort(new Error("no data arrived for a minute")), SILENCE_MS);
  try {
    return await answer;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) {
      throw new CommandError(
        `fetching ${url} needs the permission to use the network: deno task fetch has it, or add --allow-net=${url.host}`,
        { cause },
      );
    }
    const why = (cause instanceof Error ? cause.message : String(cause)).split("\n")[0];
    throw new CommandError(
      `cannot fetch ${url}: ${why}; check the address and the network, and run the same command to continue`,
      { cause },
    );
  } finally {
    clearTimeout(timer);
  }
}

function refused(url: URL, status: number): CommandError {
  if (status === 404 || status === 410) {
    return new CommandError(`cannot fetch ${url}: there is no such file (status ${status}); check the address`);
  }
  if (status === 401 || status === 403) {
    return new CommandError(
      `cannot fetch ${url}: the server restricts access (status ${status}); download it with a browser and give the file with --data`,
    );
  }
  return new CommandError(`cannot fetch ${url}: the server answered with status ${status}; try again later`);
}

function readSize(text: string | null): number | undefined {
  return text !== null && /^\d+$/.test(text) ? Number(text) : undefined;
}

function unquoted(tag: string | null): string {
  return (tag ?? "").replace(/^W\//, "").replaceAll('"', "").toLowerCase();
}

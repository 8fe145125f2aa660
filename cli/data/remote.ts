/** Remote texts: their names, their addresses, and the paths of their copies in the cache. */
import { UsageError } from "../errors.ts";
import { readTextIfAny } from "../files.ts";
import { shellWord } from "../program.ts";
import { type InputFile, lookAt } from "./input_files.ts";
import type { Format } from "./recipe.ts";
import { sha256Hex } from "./sha256.ts";
import { isRemote } from "./source_spec.ts";

/** The address of Hugging Face. */
export const HUGGING_FACE = "https://huggingface.co";

/** The record of a finished download, stored next to it in a file with the extension `.json`. */
export interface DownloadFacts {
  /** The requested place. */
  readonly place: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly etag?: string;
}

/**
 * The address of a place: a URL as it is; `hf:OWNER/NAME/PATH` or `hf:OWNER/NAME@REVISION/PATH` in a dataset on Hugging
 * Face.
 * @param endpoint The address of Hugging Face or of a mirror.
 * @throws {UsageError} if it is none of these.
 */
export function addressOf(place: string, endpoint: string = HUGGING_FACE): URL {
  if (!isRemote(place)) {
    throw new UsageError(
      `cannot fetch ${place}: give a URL that begins with https:// or http://, or hf:OWNER/NAME/PATH`,
    );
  }
  const hub = /^hf:([^/@]+)\/([^/@]+)(?:@([^/]+))?\/(.+)$/.exec(place);
  if (place.startsWith("hf:") && !hub) {
    throw new UsageError(`cannot fetch ${place}: write hf:OWNER/NAME/PATH, or hf:OWNER/NAME@REVISION/PATH`);
  }
  try {
    if (!hub) return new URL(place);
    const [, owner, name, revision = "main", path] = hub;
    const parts = ["datasets", owner, name, "resolve", revision, ...path.split("/")];
    return new URL(`${endpoint.replace(/\/$/, "")}/${parts.map(encodeURIComponent).join("/")}`);
  } catch (cause) {
    throw new UsageError(`cannot fetch ${place}: it is not a valid address`, { cause });
  }
}

/** The path of a place's copy in a cache folder; it keeps the extension, which gives the format. */
export async function downloadPath(place: string, cache: string): Promise<string> {
  const name = addressOf(place).pathname.split("/").at(-1)?.replace(/[^\w.-]/g, "_").slice(-80) || "file";
  return `${cache}/downloads/${(await sha256Hex(new TextEncoder().encode(place))).slice(0, 12)}-${name}`;
}

/** The record of a finished download, or undefined if there is none. */
export async function downloadFacts(path: string): Promise<DownloadFacts | undefined> {
  const text = await readTextIfAny(`${path}.json`), info = await Deno.stat(path).catch(() => undefined);
  if (text === undefined || !info) return undefined;
  try {
    const facts = JSON.parse(text) as DownloadFacts;
    return facts.sizeBytes === info.size && typeof facts.sha256 === "string" ? facts : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The copy of a place in the cache. The network is not used.
 * @throws {UsageError} if it was not fetched.
 */
export async function downloadedFile(
  place: string,
  cache: string,
  asked: Format,
  remark?: (line: string) => void,
): Promise<InputFile> {
  const path = await downloadPath(place, cache), facts = await downloadFacts(path);
  if (!facts) {
    throw new UsageError(
      `${place} is not in the data cache ${cache}: fetch it first with deno task fetch ${shellWord(place)}`,
    );
  }
  return await lookAt(path, await Deno.stat(path), { asked, remark });
}

/** Training text: where it comes from and which part is held out. */
import { splitText } from "../titans/mod.ts";
import { UsageError } from "./errors.ts";
import { stateOfTheUnion } from "./sotu.ts";

/** Bytes to learn from and bytes to be judged on. */
export interface Corpus {
  /** `sotu` or the file's path. */
  readonly name: string;
  /** The whole text. */
  readonly bytes: Uint8Array;
  readonly train: Uint8Array;
  readonly heldOut: Uint8Array;
}

// The end of a text.
const HELD_OUT_SHARE = 0.05;

/**
 * Loads a text and splits it.
 * @param source `sotu`, or a path; `.gz` files are unpacked.
 * @param seqLen Bytes of a training sequence: each part must hold one and the byte after it.
 * @throws {UsageError} if the file is missing, empty, or too short.
 */
export async function loadCorpus(source: string, seqLen: number): Promise<Corpus> {
  const bytes = source === "sotu" ? await stateOfTheUnion() : await readData(source);
  const corpus = { name: source, bytes, ...splitText(bytes, HELD_OUT_SHARE) };
  if (corpus.heldOut.length < seqLen + 1) {
    const needed = Math.ceil((seqLen + 1) / HELD_OUT_SHARE);
    throw new UsageError(
      `the data ${source} has ${bytes.length} bytes, sequences of ${seqLen} need at least ${needed} (5% is held out): ` +
        `give more text or a smaller --seq-len`,
    );
  }
  return corpus;
}

async function readData(path: string): Promise<Uint8Array> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new UsageError(`no data file ${path}: give a text file with --data FILE, or --data sotu`);
    if (error instanceof Deno.errors.IsADirectory) throw new UsageError(`${path} is a directory: give a text file with --data FILE`);
    throw error;
  }
  if (path.endsWith(".gz")) bytes = await gunzip(bytes, path);
  if (bytes.length === 0) throw new UsageError(`the data file ${path} is empty: give a text file with --data FILE, or --data sotu`);
  return bytes;
}

async function gunzip(bytes: Uint8Array<ArrayBuffer>, path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
  } catch (cause) {
    throw new UsageError(`the data file ${path} cannot be unpacked: it is no whole gzip file`, { cause });
  }
}

/** Identifies the text of a run, to detect whether it has changed when the run is resumed. */
import type { TokenSource } from "../../titans/mod.ts";
import type { DataRecipe } from "./recipe.ts";
import { sha256Hex } from "./sha256.ts";

/** A run's text. */
export interface DataIdentity {
  /** The value of `--data`. */
  readonly name: string;
  /** Bytes of text. */
  readonly bytes: number;
  /** SHA-256 of {@link fingerprint}s. */
  readonly sha256: string;
  /** Number of documents, if relevant. */
  readonly documents?: number;
  /** Its recipe; absent if only the source was given. */
  readonly recipe?: DataRecipe;
}

// Only this much of a longer text is hashed, so that runs on texts larger than memory start and resume quickly.
const WHOLE_BYTES = 2 ** 24;
const SAMPLES = 256;
const SAMPLE = 2 ** 16; // bytes

/**
 * A hash of a text: of all its tokens up to 16 MiB, and above that of its length and 256 evenly spaced pieces. Tokens
 * are hashed as bytes if they are bytes, else as 32-bit integers.
 */
export async function fingerprint(source: TokenSource, isBytes: boolean): Promise<string> {
  const { length } = source;
  const width = isBytes ? 1 : 4, isWhole = length * width <= WHOLE_BYTES;
  const starts = isWhole
    ? [0]
    : Array.from({ length: SAMPLES }, (_, i) => Math.floor(i * (length - SAMPLE / width) / (SAMPLES - 1)));
  const size = isWhole ? length : SAMPLE / width;
  const head = isWhole ? new Uint8Array(0) : new TextEncoder().encode(`${length} `);
  const bytes = new Uint8Array(head.length + starts.length * size * width);
  bytes.set(head);
  let at = head.length;
  for (const start of starts) {
    // In pieces, so that a text of bytes never takes four times its size.
    for (let from = 0; from < size; from += SAMPLE) {
      const tokens = new Int32Array(Math.min(SAMPLE, size - from));
      source.read(start + from, tokens);
      bytes.set(isBytes ? tokens : new Uint8Array(tokens.buffer), at);
      at += tokens.length * width;
    }
  }
  return await sha256Hex(bytes);
}

/** The hash of several texts: that of a single one, or of the list of hashes. */
export async function joinFingerprints(prints: readonly string[]): Promise<string> {
  return prints.length === 1 ? prints[0] : await sha256Hex(new TextEncoder().encode(prints.join("\n")));
}

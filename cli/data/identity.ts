/** Which text a run learns from: what shows, when the run goes on, whether it is still the same. */
import type { TokenSource } from "../../titans/mod.ts";
import type { DataRecipe } from "./recipe.ts";
import { sha256Hex } from "./sha256.ts";

/** A run's text. */
export interface DataIdentity {
  /** What `--data` said. */
  readonly name: string;
  /** Bytes of text. */
  readonly bytes: number;
  /** SHA-256 of {@link fingerprint}s. */
  readonly sha256: string;
  /** How many documents it has, where it matters. */
  readonly documents?: number;
  /** How it is made; absent where only the source was ever said. */
  readonly recipe?: DataRecipe;
}

// A longer text is known by this much of it, so that a run over a text larger than memory starts and goes on at once.
const WHOLE_BYTES = 2 ** 24;
const SAMPLES = 256;
const SAMPLE = 2 ** 16; // bytes

/**
 * A hash of a text: of all its tokens, up to 16 MiB of them; of its length and of 256 pieces spread evenly from its
 * beginning to its end above that. Tokens are hashed as bytes if they are bytes, else as 32-bit integers.
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

/** The hash of several texts: that of the only one, or of the list of all. */
export async function joinFingerprints(prints: readonly string[]): Promise<string> {
  return prints.length === 1 ? prints[0] : await sha256Hex(new TextEncoder().encode(prints.join("\n")));
}

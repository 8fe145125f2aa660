/**
 * What reads bytes, and how it is judged: an input ends in a result or in an error of one line that says what to do.
 */
import { isSelfExplaining } from "../../cli/errors.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";

/** Something that reads bytes. */
export interface ByteReader {
  readonly name: string;
  /** How many inputs it gets relative to the others: fast readers get more. */
  readonly weight: number;
  /** Valid files. */
  readonly seeds: readonly Uint8Array[];
  /** Makes a file that is not a mutation of another one. */
  readonly grammar?: (random: Random) => Uint8Array;
  /** Reads one. */
  readonly read: (bytes: Uint8Array) => void | Promise<void>;
}

/** An input of a run, by its number. */
export function inputOf(reader: ByteReader, seed: number, index: number): Uint8Array {
  const random = new Random(seed, index);
  if (reader.grammar && random.oneIn(3)) {
    const made = reader.grammar(random);
    return random.oneIn(2) ? made : mutate(made, random, reader.seeds);
  }
  return mutate(random.pick(reader.seeds), random, reader.seeds);
}

// An error text may quote what it speaks of, but nobody reads pages of it.
const LONGEST_MESSAGE = 1000;
/** An input of at most 64 KiB that takes longer hangs. */
export const SLOW_MS = 2000;

/**
 * Reads an input.
 * @param slowMs What takes longer, twice in a row, is too slow: once it may be the machine.
 * @returns What is wrong with how it ended, or undefined.
 */
export async function verdictOn(
  reader: Pick<ByteReader, "read">,
  bytes: Uint8Array,
  slowMs: number = SLOW_MS,
): Promise<string | undefined> {
  let took = 0;
  for (let again = 0; again < 2; again++) {
    const began = performance.now();
    try {
      await reader.read(bytes);
    } catch (error) {
      const wrong = faultOf(error);
      if (wrong !== undefined) return wrong;
    }
    took = performance.now() - began;
    if (took <= slowMs) return undefined;
  }
  return `slow: ${Math.round(took)} ms`;
}

/** What is wrong with an error, or undefined if it is what a user should see. */
export function faultOf(error: unknown): string | undefined {
  if (!isSelfExplaining(error)) {
    return `not one of ours: ${
      error instanceof Error ? `${error.name}: ${error.message}\n${error.stack ?? ""}` : String(error)
    }`;
  }
  const { message } = error;
  if (message.trim() === "") return "an empty message";
  // deno-lint-ignore no-control-regex -- what must not get into a line
  const control = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]/.exec(message);
  if (control) {
    return `a message with the control character ${control[0].charCodeAt(0)}: ${JSON.stringify(message.slice(0, 300))}`;
  }
  if (message.length > LONGEST_MESSAGE) return `a message of ${message.length} letters: ${message.slice(0, 300)}`;
  return undefined;
}

/** A smaller input that ends in the same way, found by leaving pieces out. */
export async function minimise(reader: ByteReader, bytes: Uint8Array, verdict: string): Promise<Uint8Array> {
  const kind = kindOf(verdict);
  let smallest = bytes;
  for (let size = bytes.length >> 1, tries = 0; size >= 1 && tries < 2000;) {
    let found = false;
    for (let at = 0; at < smallest.length && tries < 2000; at += size, tries++) {
      const shorter = new Uint8Array([...smallest.subarray(0, at), ...smallest.subarray(at + size)]);
      const now = await verdictOn(reader, shorter);
      if (now === undefined || kindOf(now) !== kind) continue;
      [smallest, found] = [shorter, true];
      break;
    }
    if (!found) size >>= 1;
  }
  return smallest;
}

/** A verdict without what differs from input to input. */
export function kindOf(verdict: string): string {
  return verdict.split("\n").slice(0, 2).join(" ").replace(/\d+/g, "N").slice(0, 100);
}

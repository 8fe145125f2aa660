/** What the ranks of a command tell each other besides numbers: whether all is well, and what the first one found. */
import type { Collective } from "../titans/mod.ts";
import { exitCode, formatError } from "./errors.ts";
import type { Terminal } from "./terminal.ts";

/** An error that all ranks know of, so that each can end by itself. */
export class AgreedError extends Error {
  override readonly name = "AgreedError";

  /**
   * @param line As it is printed.
   * @param code The exit code.
   */
  constructor(readonly line: string, readonly code: number) {
    super(line);
  }
}

/**
 * Does something on every rank that may fail on some of them. All must call it, and nothing in the action may wait for
 * other ranks.
 * @throws what the action throws if there is one rank, else {AgreedError} on all ranks with the error of the first that
 * failed.
 */
export async function together<T>(ranks: Collective, action: () => T | Promise<T>, verbose = false): Promise<T> {
  if (ranks.size === 1) return await action();
  let result: T | undefined, failure = "";
  try {
    result = await action();
  } catch (error) {
    failure = `${exitCode(error)}${nameOf(ranks)}${formatError(error, verbose)}`;
  }
  const failures = await ranks.gather(new TextEncoder().encode(failure));
  const first = failures.find((bytes) => bytes.length > 0);
  if (!first) return result as T;
  const text = new TextDecoder().decode(first);
  throw new AgreedError(text.slice(1), Number(text[0]));
}

/** What errors of a rank begin with: nothing on the first, since it speaks for all. */
export function nameOf({ rank }: Pick<Collective, "rank">): string {
  return rank === 0 ? "" : `rank ${rank}: `;
}

/** The bytes that the first rank has. */
export async function bytesOfFirst(
  ranks: Collective,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  if (ranks.size === 1) return bytes;
  const length = new Uint8Array(Float64Array.of(bytes.length).buffer);
  await ranks.broadcast(length);
  const all = ranks.rank === 0 ? bytes : new Uint8Array(new Float64Array(length.buffer)[0]);
  await ranks.broadcast(all);
  return all;
}

/** A value of the first rank, which JSON can hold. */
export async function toldByFirst<T>(ranks: Collective, value: T): Promise<T> {
  if (ranks.size === 1) return value;
  const bytes = await bytesOfFirst(ranks, new TextEncoder().encode(JSON.stringify([value])));
  return (JSON.parse(new TextDecoder().decode(bytes)) as [T])[0];
}

/** Whether something holds on any rank. */
export async function onAny(ranks: Collective, holds: boolean): Promise<boolean> {
  return (await ranks.gather(Uint8Array.of(holds ? 1 : 0))).some(([one]) => one === 1);
}

/** A terminal of which only the first rank writes to standard output. */
export function terminalOf({ rank }: Collective, terminal: Terminal): Terminal {
  if (rank === 0) return terminal;
  return { interactive: false, columns: Infinity, closed: false, out: () => {}, err: () => {} };
}

/** What the ranks of a command tell each other besides numbers: whether all is well, and what the first one found. */
import type { Collective } from "../titans/mod.ts";
import { CommandError, exitCode, formatError } from "./errors.ts";
import { shellWord } from "./program.ts";
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

/** Other ranks did not come within the time that a rank waits for them. */
export class RankTimeout extends CommandError {}

/**
 * The same ranks, of which each waits for the others a limited time: they may hang, or be behind a network that is down,
 * and then nothing else ends the wait.
 * @throws {RankTimeout} from what waits longer; what it was to fill must then be left alone, and no operation may follow.
 */
export function waitingAtMost(ranks: Collective, seconds: number): Collective {
  if (ranks.size === 1) return ranks;
  const within = async <T>(operation: Promise<T>): Promise<T> => {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() =>
      late.reject(
        new RankTimeout(
          `waited ${seconds} s for the other ranks (--rank-timeout): one of them hangs, or the network between them is down`,
        ),
      ), 1000 * seconds);
    try {
      return await Promise.race([operation, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  };
  return {
    rank: ranks.rank,
    size: ranks.size,
    allReduceSum: (data, order) => within(ranks.allReduceSum(data, order)),
    broadcast: (data, root) => within(ranks.broadcast(data, root)),
    gather: (data, root) => within(ranks.gather(data, root)),
    exchange: (parts) => within(ranks.exchange(parts)),
    barrier: () => within(ranks.barrier()),
    abort: (message) => ranks.abort(message),
  };
}

/** The command that goes on with a run on as many ranks. */
export function resumeCommand({ size }: Pick<Collective, "size">, path: string): string {
  const command = size === 1 ? "deno task train" : `mpirun -n ${size} deno task train:mpi`;
  return `${command} --resume --out ${shellWord(path)}`;
}

/** A terminal of which only the first rank writes to standard output. */
export function terminalOf({ rank }: Collective, terminal: Terminal): Terminal {
  if (rank === 0) return terminal;
  return { interactive: false, columns: Infinity, closed: false, out: () => {}, err: () => {} };
}

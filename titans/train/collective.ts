/**
 * What processes that train together need of each other: a collective of ranks, each a process with a device of its
 * own. All ranks call the same operations in the same order. The library knows the interface alone; the command line
 * has one over MPI.
 */

/**
 * In which order numbers of several ranks are added. `tree` adds neighbours in pairs, then pairs of neighbours, and so
 * on, for a number of ranks that is a power of two: the bits are then those of the same tree on fewer ranks. `any` is
 * what the engine does best.
 */
export type SumOrder = "any" | "tree";

/** Some processes, seen from one of them. */
export interface Collective {
  /** Which of them this one is, counted from 0. */
  readonly rank: number;
  /** How many there are. */
  readonly size: number;
  /** Replaces the numbers by their sums over all ranks, which get the same bits; as many on each rank. */
  allReduceSum(data: Float32Array<ArrayBuffer>, order?: SumOrder): Promise<void>;
  /** Replaces the bytes by those of `root`; as many on each rank. @param root Default: 0. */
  broadcast(data: Uint8Array<ArrayBuffer>, root?: number): Promise<void>;
  /**
   * The bytes of all ranks, in their order; ranks may give different numbers of them.
   * @param root The rank that gets them, the others get an empty list. Default: all.
   */
  gather(data: Uint8Array<ArrayBuffer>, root?: number): Promise<Uint8Array<ArrayBuffer>[]>;
  /**
   * Sends a part to each rank. @returns The parts that the ranks have for this one, in their order.
   * @param parts As many as ranks; of any lengths.
   */
  exchange(parts: readonly Uint8Array<ArrayBuffer>[]): Promise<Uint8Array<ArrayBuffer>[]>;
  /** Waits until all ranks are here. */
  barrier(): Promise<void>;
  /** Ends all ranks: what they wait for fails with the message, or their processes end. */
  abort(message: string): void;
}

/** A process by itself. */
export const SOLO: Collective = {
  rank: 0,
  size: 1,
  allReduceSum: () => Promise.resolve(),
  broadcast: () => Promise.resolve(),
  gather: (data) => Promise.resolve([data]),
  exchange: (parts) => Promise.resolve([...parts]),
  barrier: () => Promise.resolve(),
  abort(message) {
    throw new Error(message);
  },
};

/** Some of a number of things that are counted, such as the rows of a batch. */
export interface Share {
  /** The first, counted from 0. */
  readonly first: number;
  /** How many. */
  readonly count: number;
}

/** A rank's share of `total` things: neighbours, and as many as other ranks have or one more. */
export function shareOf(total: number, { rank, size }: Pick<Collective, "rank" | "size">): Share {
  const first = Math.floor(total * rank / size);
  return { first, count: Math.floor(total * (rank + 1) / size) - first };
}

/** The numbers of all ranks, as {@link Collective.gather} gives their bytes. */
export async function gatherFloats(
  collective: Collective,
  data: Float32Array,
  root?: number,
): Promise<Float32Array<ArrayBuffer>[]> {
  const bytes = new Uint8Array(data.slice().buffer);
  const parts = await collective.gather(bytes, root);
  return parts.map((part) => new Float32Array(part.slice().buffer));
}

/** A collective within one process: ranks are promises that meet, for tests and for several devices of one machine. */
import type { Collective, SumOrder } from "./collective.ts";

/** What a rank gives: numbers, bytes, or bytes for each rank. */
type Given = Float32Array | Uint8Array<ArrayBuffer> | readonly Uint8Array<ArrayBuffer>[];

/** What one rank gives to an operation. */
interface Arrival {
  readonly operation: string;
  readonly data: Given;
  readonly resolve: (all: readonly Given[]) => void;
  readonly reject: (reason: Error) => void;
}

/** Where the ranks of a process meet: an operation goes on once all of them have called it. */
class Meeting {
  readonly #size: number;
  #arrived = new Map<number, Arrival>();
  #aborted?: Error;

  constructor(size: number) {
    this.#size = size;
  }

  /** Waits for all ranks. @returns Copies of what they gave, in their order. */
  meet<Data extends Given>(rank: number, operation: string, data: Data): Promise<readonly Data[]> {
    if (this.#aborted) return Promise.reject(this.#aborted);
    return new Promise((resolve, reject) => {
      const [other] = this.#arrived.values();
      if (this.#arrived.has(rank) || (other && other.operation !== operation)) {
        const what = other.operation === operation ? "a second one of itself" : other.operation;
        return this.abort(
          `Cannot ${operation} on rank ${rank} while others wait for ${what}: call the same everywhere`,
        );
      }
      this.#arrived.set(rank, { operation, data: data.slice(), resolve: resolve as Arrival["resolve"], reject });
      if (this.#arrived.size < this.#size) return;
      const all = Array.from({ length: this.#size }, (_, i) => this.#arrived.get(i)!);
      this.#arrived = new Map();
      for (const { resolve } of all) resolve(all.map(({ data }) => data));
    });
  }

  abort(message: string): void {
    this.#aborted ??= new Error(message);
    for (const { reject } of this.#arrived.values()) reject(this.#aborted);
    this.#arrived.clear();
  }
}

/**
 * Collectives of ranks in one process, which wait for each other: give each to a trainer, and let all trainers run at
 * the same time.
 * @param size How many.
 */
export function localCollectives(size: number): Collective[] {
  const meeting = new Meeting(size);
  return Array.from({ length: size }, (_, rank): Collective => ({
    rank,
    size,
    async allReduceSum(data, order = "any") {
      data.set(sumOf(await meeting.meet(rank, "add up", data), order));
    },
    async broadcast(data, root = 0) {
      data.set((await meeting.meet(rank, "broadcast", data))[root]);
    },
    async gather(data, root) {
      const all = await meeting.meet(rank, "gather", data);
      return root === undefined || root === rank ? all.map((part) => part.slice()) : [];
    },
    async exchange(parts) {
      const all = await meeting.meet(rank, "exchange", parts.map((part) => part.slice()));
      return all.map((each) => each[rank]);
    },
    async barrier() {
      await meeting.meet(rank, "wait", new Uint8Array());
    },
    abort: (message) => meeting.abort(message),
  }));
}

/** Sums as a ring would make them, or as a tree does. */
function sumOf(parts: readonly Float32Array[], order: SumOrder): Float32Array {
  if (parts.length === 1) return parts[0];
  const middle = order === "tree" ? parts.length / 2 : parts.length - 1;
  const lhs = sumOf(parts.slice(0, middle), order), rhs = sumOf(parts.slice(middle), order);
  return lhs.map((x, i) => x + rhs[i]);
}

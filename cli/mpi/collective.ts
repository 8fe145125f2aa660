/** A collective over MPI. */
import type { Collective, SumOrder } from "../../titans/mod.ts";
import type { MpiLibrary } from "./library.ts";

// Counts are 32-bit integers in MPI.
const MOST = 2 ** 30;

/** The processes that `mpirun` or `srun` started together. */
export class MpiCollective implements Collective {
  readonly rank: number;
  readonly size: number;
  readonly #mpi: MpiLibrary;

  /** @param mpi Initialised. */
  constructor(mpi: MpiLibrary) {
    const { functions, abi: { world }, check } = mpi, word = new Int32Array(1);
    this.#mpi = mpi;
    check(functions.commRank(world, word), "MPI_Comm_rank");
    this.rank = word[0];
    check(functions.commSize(world, word), "MPI_Comm_size");
    this.size = word[0];
  }

  async allReduceSum(data: Float32Array<ArrayBuffer>, order: SumOrder = "any"): Promise<void> {
    for (let at = 0; at < data.length; at += MOST / 4) {
      const part = data.subarray(at, at + MOST / 4);
      if (order === "tree") await this.#addTree(part);
      else {
        const { functions, abi: { inPlace, float, sum, world }, check } = this.#mpi;
        check(await functions.allReduce(inPlace, bytesOf(part), part.length, float, sum, world), "MPI_Allreduce");
      }
    }
  }

  /** Ranks exchange their sums with neighbours at distance 1, 2, 4 ...: both add the same two numbers. */
  async #addTree(data: Float32Array<ArrayBuffer>): Promise<void> {
    const { functions, abi: { float, world, noStatus }, check } = this.#mpi, other = new Float32Array(data.length);
    const mine = bytesOf(data), theirs = bytesOf(other), count = data.length;
    for (let distance = 1; distance < this.size; distance *= 2) {
      const peer = this.rank ^ distance;
      check(
        await functions.sendReceive(mine, count, float, peer, 0, theirs, count, float, peer, 0, world, noStatus),
        "MPI_Sendrecv",
      );
      for (let i = 0; i < count; i++) data[i] += other[i];
    }
  }

  async broadcast(data: Uint8Array<ArrayBuffer>, root = 0): Promise<void> {
    const { functions, abi: { byte, world }, check } = this.#mpi;
    for (let at = 0; at < data.length; at += MOST) {
      const part = data.subarray(at, at + MOST);
      check(await functions.broadcast(part, part.length, byte, root, world), "MPI_Bcast");
    }
  }

  async gather(data: Uint8Array<ArrayBuffer>, root?: number): Promise<Uint8Array<ArrayBuffer>[]> {
    const counts = await this.#counts(data.length), receives = root === undefined || root === this.rank;
    const places = placesOf(counts), all = new Uint8Array(receives ? totalOf(counts) : 0);
    const { functions, abi: { byte, world }, check } = this.#mpi;
    const args = [data, data.length, byte, all, bytesOf(counts), bytesOf(places), byte] as const;
    if (root === undefined) check(await functions.allGatherV(...args, world), "MPI_Allgatherv");
    else check(await functions.gatherV(...args, root, world), "MPI_Gatherv");
    return receives ? Array.from(counts, (count, i) => all.subarray(places[i], places[i] + count)) : [];
  }

  async exchange(parts: readonly Uint8Array<ArrayBuffer>[]): Promise<Uint8Array<ArrayBuffer>[]> {
    const { functions, abi: { byte, world }, check } = this.#mpi;
    const sent = Int32Array.from(parts, ({ length }) => length), received = new Int32Array(this.size);
    check(await functions.allToAll(bytesOf(sent), 4, byte, bytesOf(received), 4, byte, world), "MPI_Alltoall");
    const [from, to] = [sent, received].map(placesOf), all = new Uint8Array(totalOf(sent));
    parts.forEach((part, rank) => all.set(part, from[rank]));
    const into = new Uint8Array(totalOf(received));
    const out = [all, bytesOf(sent), bytesOf(from), byte] as const;
    check(
      await functions.allToAllV(...out, into, bytesOf(received), bytesOf(to), byte, world),
      "MPI_Alltoallv",
    );
    return Array.from(received, (count, rank) => into.subarray(to[rank], to[rank] + count));
  }

  /** How many bytes each rank gives. @throws {Error} if they are more than MPI counts. */
  async #counts(own: number): Promise<Int32Array<ArrayBuffer>> {
    const counts = new Int32Array(this.size), { functions, abi: { byte, world }, check } = this.#mpi;
    const mine = Int32Array.of(Math.min(own, 2 ** 31 - 1));
    check(await functions.allGather(bytesOf(mine), 4, byte, bytesOf(counts), 4, byte, world), "MPI_Allgather");
    const total = totalOf(counts);
    if (total < 2 ** 31) return counts;
    throw new Error(`Cannot gather ${total} bytes at once: MPI counts less than ${2 ** 31}; use a smaller model`);
  }

  async barrier(): Promise<void> {
    this.#mpi.check(await this.#mpi.functions.barrier(this.#mpi.abi.world), "MPI_Barrier");
  }

  abort(): never {
    this.#mpi.functions.abort(this.#mpi.abi.world, 1);
    Deno.exit(1);
  }

  /** Takes leave of the other ranks, once all of them do. Nothing may follow. */
  async finalize(): Promise<void> {
    await this.barrier();
    this.#mpi.check(this.#mpi.functions.finalize(), "MPI_Finalize");
  }
}

/** Where parts begin that lie one after the other. */
function placesOf(counts: Int32Array): Int32Array<ArrayBuffer> {
  const places = new Int32Array(counts.length);
  for (let i = 1; i < counts.length; i++) places[i] = places[i - 1] + counts[i - 1];
  return places;
}

function totalOf(counts: Int32Array): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>): Uint8Array<
  ArrayBuffer
> {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

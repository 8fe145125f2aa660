/** How many threads a rank's device takes where ranks share a machine. */
import type { Collective } from "../../titans/mod.ts";

/** What a rank says of the machine it runs on. */
export interface RankPlace {
  /** The machine's name. */
  readonly host: string;
  /** The cores that the rank may run on, as Linux lists them: `0-3,8`. Empty where they are not known. */
  readonly cores: string;
}

/**
 * Threads of each rank on a machine: the cores that its ranks have in all, divided among them. So it makes no difference
 * whether the launcher bound each rank to cores of its own, or lets all ranks use all of them.
 * @param own The machine of the rank that asks.
 * @param cores How many cores the rank itself sees, for machines that do not list them.
 */
export function threadsPerRank(places: readonly RankPlace[], own: RankPlace, cores: number): number {
  const here = ranksOn(places, own), all = new Set(here.flatMap(({ cores }) => listed(cores)));
  return Math.max(1, Math.floor((all.size || cores) / here.length));
}

/** The ranks on a machine. */
function ranksOn(places: readonly RankPlace[], { host }: RankPlace): readonly RankPlace[] {
  return places.filter((place) => place.host === host);
}

/** The numbers of a list such as `0-3,8`. */
function listed(cores: string): number[] {
  return cores.split(",").filter(Boolean).flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** How a rank shares its machine. */
export interface MachineShare {
  /** Threads of this rank's device. */
  readonly threads: number;
  /** Ranks on this machine. */
  readonly ranksHere: number;
}

/** Asks all ranks where they are. */
export async function machineShareOf(ranks: Collective): Promise<MachineShare> {
  const own = placeOf(), decoder = new TextDecoder();
  const all = await ranks.gather(new TextEncoder().encode(JSON.stringify(own)));
  const places = all.map((bytes) => JSON.parse(decoder.decode(bytes)) as RankPlace);
  return {
    threads: threadsPerRank(places, own, navigator.hardwareConcurrency),
    ranksHere: ranksOn(places, own).length,
  };
}

/** Bytes of a mask of cores. */
const MASK_BYTES = 128;

/** Asks the C library, because Deno lets nobody without all permissions read /proc. */
function placeOf(): RankPlace {
  try {
    const libc = Deno.dlopen("libc.so.6", {
      gethostname: { parameters: ["buffer", "usize"], result: "i32" },
      sched_getaffinity: { parameters: ["i32", "usize", "buffer"], result: "i32" },
    });
    const name = new Uint8Array(256), mask = new Uint8Array(MASK_BYTES);
    libc.symbols.gethostname(name, 256n);
    libc.symbols.sched_getaffinity(0, BigInt(MASK_BYTES), mask);
    libc.close();
    const cores = Array.from({ length: 8 * MASK_BYTES }, (_, i) => i).filter((i) => mask[i >> 3] >> (i & 7) & 1);
    return { host: new TextDecoder().decode(name.subarray(0, name.indexOf(0))), cores: cores.join() };
  } catch {
    // Another system: ranks are then taken to share one machine.
    return { host: "", cores: "" };
  }
}

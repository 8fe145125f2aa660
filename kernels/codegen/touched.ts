/** What threads have touched since they last met. */
import { conflicts, type Region } from "./footprint.ts";

/** Regions that are remembered. Beyond, a barrier costs less than looking for a way around it. */
const MOST_REGIONS = 1000;

/** A set of regions. */
export class Touched {
  /** By memory, distinct ones. */
  readonly #regions = new Map<number, Map<string, Region>>();
  #count = 0;
  #everything = false;

  /** @param threads Threads that run the program. */
  constructor(readonly threads: number) {}

  /** Adds regions. */
  add(regions: readonly Region[]): void {
    for (const region of regions) {
      const { memory, start, end, writes, stripe } = region, key = `${start} ${end} ${writes} ${stripe}`;
      let known = this.#regions.get(memory);
      if (!known) this.#regions.set(memory, known = new Map());
      if (known.has(key)) continue;
      known.set(key, region);
      this.#count++;
    }
    if (this.#count > MOST_REGIONS) this.addEverything();
  }

  /** Adds all there is, so that every region is in conflict. */
  addEverything(): void {
    this.#everything = true;
  }

  /** Forgets all: threads have met. */
  clear(): void {
    this.#regions.clear();
    this.#count = 0;
    this.#everything = false;
  }

  /** Whether threads must meet before they touch regions. */
  conflicts(regions: readonly Region[]): boolean {
    return this.#everything || regions.some((region) => {
      for (const other of this.#regions.get(region.memory)?.values() ?? []) {
        if (conflicts(region, other, this.threads)) return true;
      }
      return false;
    });
  }
}

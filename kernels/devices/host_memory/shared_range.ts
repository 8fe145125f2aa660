/** Memory that the programs of one device use in turn. */
import type { HostMemory } from "./memory.ts";

/**
 * A range as large as its largest user needs. Launches of one device run one after the other, and nothing in an arena
 * or in scratch memory outlives a launch, so that a device needs one of each, however many programs it has.
 */
export class SharedRange {
  #memory: HostMemory;
  #needs = new Map<object, number>();
  #address = 0;
  #sizeBytes = 0;

  constructor(memory: HostMemory) {
    this.#memory = memory;
  }

  /** Where the range starts; it may move when users come and go. */
  get address(): number {
    return this.#address;
  }

  /**
   * Makes the range large enough for one more user.
   * @throws {DeviceError} with reason `out-of-memory`; then the range and its users stay as they were.
   */
  add(user: object, sizeBytes: number): void {
    if (sizeBytes > this.#sizeBytes) this.#move(sizeBytes);
    this.#needs.set(user, sizeBytes);
  }

  /** Forgets a user. Memory that no other one needs is free. */
  remove(user: object): void {
    this.#needs.delete(user);
    const most = Math.max(0, ...this.#needs.values());
    if (most < this.#sizeBytes) this.#move(most);
  }

  /**
   * Nothing in it has to be kept, so it is given back first: the new place may be the old one, made longer or shorter.
   */
  #move(sizeBytes: number): void {
    const before = this.#sizeBytes;
    if (before > 0) this.#memory.free(this.#address, before);
    try {
      this.#address = sizeBytes > 0 ? this.#memory.allocate(sizeBytes) : 0;
      this.#sizeBytes = sizeBytes;
    } catch (error) {
      this.#address = before > 0 ? this.#memory.allocate(before) : 0;
      throw error;
    }
  }
}

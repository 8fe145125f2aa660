/** Memory that the programs of one device share over time. */
import type { HostMemory } from "./memory.ts";

/**
 * A range that is as large as its largest user needs. Launches of one device never overlap, and arena and scratch
 * memory is not preserved between launches, so a device needs one range of each however many programs it has.
 */
export class SharedRange {
  #memory: HostMemory;
  #needs = new Map<object, number>();
  #address = 0;
  #sizeBytes = 0;

  constructor(memory: HostMemory) {
    this.#memory = memory;
  }

  /** Start of the range. It may move when users are added or removed. */
  get address(): number {
    return this.#address;
  }

  /**
   * Grows the range if necessary to accommodate another user.
   * @throws {DeviceError} with reason `out-of-memory`, leaving the range and its users unchanged.
   */
  add(user: object, sizeBytes: number): void {
    if (sizeBytes > this.#sizeBytes) this.#move(sizeBytes);
    this.#needs.set(user, sizeBytes);
  }

  /** Removes a user, and frees memory that no other user needs. */
  remove(user: object): void {
    this.#needs.delete(user);
    const most = Math.max(0, ...this.#needs.values());
    if (most < this.#sizeBytes) this.#move(most);
  }

  /** The content need not be preserved, so the old range is freed first and may be extended or shrunk in place. */
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

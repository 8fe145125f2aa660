/** A queue of bytes, for parsers of what arrives in pieces. */

/** A longer line or row is not a text record but a file of another format. */
export const LONGEST_RECORD = 2 ** 27;

/** A byte queue: bytes are consumed at the start while more are appended. */
export class GrowingBytes {
  #bytes = new Uint8Array(2 ** 12);
  #start = 0;
  #end = 0;

  /** The remaining bytes; replaced by {@link add}. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  add(piece: Uint8Array): void {
    if (this.#end + piece.length > this.#bytes.length) {
      const left = this.bytes, needed = left.length + piece.length;
      const room = needed > this.#bytes.length ? new Uint8Array(2 * needed) : this.#bytes;
      room.set(left);
      [this.#bytes, this.#start, this.#end] = [room, 0, left.length];
    }
    this.#bytes.set(piece, this.#end);
    this.#end += piece.length;
  }

  /** Discards bytes at the start. */
  drop(count: number): void {
    this.#start += count;
  }
}

/**
 * The function behind all random numbers: Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as
 * easy as 1, 2, 3", 2011).
 */

/** The third word of a key is the exclusive or of the first two and this, Skein's constant for 32 bits. */
export const KEY_PARITY = 0x1bd11bda;

/** By how many bits four rounds rotate, then the next four. */
export const ROTATIONS = [[13, 15, 26, 6], [17, 29, 16, 24]] as const;

// As constants, which take less time than elements of lists.
const [[A0, A1, A2, A3], [B0, B1, B2, B3]] = ROTATIONS;

function rotateLeft(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}

/** Encrypts counters; the results stay here, since millions of pairs would be work for the garbage collector. */
export class Threefry {
  /** The result: two 32-bit numbers, signed. */
  x = 0;
  y = 0;
  /** That of the next counter, encrypted in the time that the first one leaves unused: each waits for itself. */
  nextX = 0;
  nextY = 0;

  /** Encrypts a counter and the next one, `counter0 + 1`. */
  run(key0: number, key1: number, counter0: number, counter1: number): void {
    let a = key0 | 0, b = key1 | 0, c = a ^ b ^ KEY_PARITY;
    let x = (counter0 + a) | 0, y = (counter1 + b) | 0;
    let nextX = (x + 1) | 0, nextY = y;
    // Four rounds at a time, then part of the key.
    for (let injection = 1; injection <= 5; injection++) {
      const odd = (injection & 1) === 1;
      const bits0 = odd ? A0 : B0, bits1 = odd ? A1 : B1, bits2 = odd ? A2 : B2, bits3 = odd ? A3 : B3;
      x = (x + y) | 0;
      nextX = (nextX + nextY) | 0;
      y = rotateLeft(y, bits0) ^ x;
      nextY = rotateLeft(nextY, bits0) ^ nextX;
      x = (x + y) | 0;
      nextX = (nextX + nextY) | 0;
      y = rotateLeft(y, bits1) ^ x;
      nextY = rotateLeft(nextY, bits1) ^ nextX;
      x = (x + y) | 0;
      nextX = (nextX + nextY) | 0;
      y = rotateLeft(y, bits2) ^ x;
      nextY = rotateLeft(nextY, bits2) ^ nextX;
      x = (x + y) | 0;
      nextX = (nextX + nextY) | 0;
      y = rotateLeft(y, bits3) ^ x;
      nextY = rotateLeft(nextY, bits3) ^ nextX;
      const first = a;
      a = b;
      b = c;
      c = first;
      x = (x + a) | 0;
      nextX = (nextX + a) | 0;
      y = (y + b + injection) | 0;
      nextY = (nextY + b + injection) | 0;
    }
    this.x = x;
    this.y = y;
    this.nextX = nextX;
    this.nextY = nextY;
  }
}

/**
 * Encrypts a 64-bit counter with a 64-bit key.
 * @returns Two unsigned 32-bit numbers.
 */
export function threefry(key: readonly [number, number], counter: readonly [number, number]): [number, number] {
  const cipher = new Threefry();
  cipher.run(key[0], key[1], counter[0], counter[1]);
  return [cipher.x >>> 0, cipher.y >>> 0];
}

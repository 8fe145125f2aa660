/**
 * Random numbers on the host, counter-based: the n-th number of a stream is a pure function of (seed, stream, n), so
 * that a resumed run draws what an uninterrupted one would have drawn, whatever was drawn in between.
 *
 * The function is Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
 */

const PARITY = 0x1bd11bda;

function rotateLeft(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}

/** Encrypts counters; the result stays here, since millions of pairs would be work for the garbage collector. */
class Threefry {
  /** The result: two 32-bit numbers, signed. */
  x = 0;
  y = 0;

  run(key0: number, key1: number, counter0: number, counter1: number): void {
    let a = key0 | 0, b = key1 | 0, c = a ^ b ^ PARITY;
    let x = (counter0 + a) | 0, y = (counter1 + b) | 0;
    // Four rounds at a time, then part of the key.
    for (let injection = 1; injection <= 5; injection++) {
      const odd = (injection & 1) === 1;
      x = (x + y) | 0;
      y = rotateLeft(y, odd ? 13 : 17) ^ x;
      x = (x + y) | 0;
      y = rotateLeft(y, odd ? 15 : 29) ^ x;
      x = (x + y) | 0;
      y = rotateLeft(y, odd ? 26 : 16) ^ x;
      x = (x + y) | 0;
      y = rotateLeft(y, odd ? 6 : 24) ^ x;
      const first = a;
      a = b;
      b = c;
      c = first;
      x = (x + a) | 0;
      y = (y + b + injection) | 0;
    }
    this.x = x;
    this.y = y;
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

/** One stream of random numbers with random access. */
export class HostRng {
  #seed: number;
  #stream: number;
  readonly #cipher = new Threefry();

  /**
   * A stream of a seed.
   * @param seed An integer; its lowest 32 bits count.
   * @param stream Distinguishes independent uses of one seed: a number, or a text that is hashed.
   */
  constructor(seed: number, stream: number | string = 0) {
    this.#seed = seed | 0;
    this.#stream = typeof stream === "number" ? stream | 0 : hashText(stream);
  }

  /** The n-th number of the stream, uniform in [0, 1), with 53 random bits. */
  uniform(n: number): number {
    const cipher = this.#cipher;
    cipher.run(this.#seed, this.#stream, n | 0, Math.floor(n / 2 ** 32));
    return ((cipher.x >>> 5) * 2 ** 26 + (cipher.y >>> 6)) / 2 ** 53;
  }

  /** The n-th integer of the stream, uniform in 0 .. `bound` - 1. */
  integer(n: number, bound: number): number {
    return Math.floor(this.uniform(n) * bound);
  }

  /**
   * The n-th number of the stream, normal with mean 0 and variance 1 (Box-Muller on numbers 2n and 2n + 1 of the
   * uniform stream).
   */
  normal(n: number): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform(2 * n)));
    return radius * Math.cos(2 * Math.PI * this.uniform(2 * n + 1));
  }
}

/** A 32-bit hash of a text (FNV-1a over UTF-16 code units). */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash | 0;
}

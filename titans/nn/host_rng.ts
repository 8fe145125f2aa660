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

/** Encrypts counters; the results stay here, since millions of pairs would be work for the garbage collector. */
class Threefry {
  /** The result: two 32-bit numbers, signed. */
  x = 0;
  y = 0;
  /** That of the next counter, which is encrypted in the time that the first one leaves unused: each waits for itself. */
  nextX = 0;
  nextY = 0;

  /** Encrypts a counter and the next one, `counter0 + 1`. */
  run(key0: number, key1: number, counter0: number, counter1: number): void {
    let a = key0 | 0, b = key1 | 0, c = a ^ b ^ PARITY;
    let x = (counter0 + a) | 0, y = (counter1 + b) | 0;
    let nextX = (x + 1) | 0, nextY = y;
    // Four rounds at a time, then part of the key.
    for (let injection = 1; injection <= 5; injection++) {
      const odd = (injection & 1) === 1;
      const bits0 = odd ? 13 : 17, bits1 = odd ? 15 : 29, bits2 = odd ? 26 : 16, bits3 = odd ? 6 : 24;
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
    this.#encrypt(n);
    return fraction(this.#cipher.x, this.#cipher.y);
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
    this.#encrypt(2 * n);
    return this.#radius() * Math.cos(2 * Math.PI * fraction(this.#cipher.nextX, this.#cipher.nextY));
  }

  /**
   * Fills an array with its first normal numbers, times a deviation: element n is `deviation * normal(n)` to the last
   * bit, in half the time. Cosines are within 2^-48 of those of `normal`; where that might change how a number is
   * rounded to f32, for some 20 numbers in a million, `normal` computes it.
   */
  fillNormal(values: Float32Array, deviation: number): void {
    for (let n = 0; n < values.length; n++) {
      this.#encrypt(2 * n);
      const largest = deviation * this.#radius(), margin = largest * COSINE_MARGIN;
      const value = largest * cosineOfTurns(fraction(this.#cipher.nextX, this.#cipher.nextY));
      const rounded = Math.fround(value - margin);
      values[n] = rounded === Math.fround(value + margin) ? rounded : deviation * this.normal(n);
    }
  }

  #encrypt(n: number): void {
    this.#cipher.run(this.#seed, this.#stream, n | 0, n < 2 ** 32 ? 0 : Math.floor(n / 2 ** 32));
  }

  #radius(): number {
    return Math.sqrt(-2 * Math.log(1 - fraction(this.#cipher.x, this.#cipher.y)));
  }
}

/** 53 of 64 random bits as a number in [0, 1). */
function fraction(x: number, y: number): number {
  return ((x >>> 5) * 2 ** 26 + (y >>> 6)) / 2 ** 53;
}

/** More than {@link cosineOfTurns} and the rounding of what is computed with it can be off, with much to spare. */
const COSINE_MARGIN = 2 ** -44;

/** Coefficients of the sine of turns, `sin(2 pi t) = t (S[0] + S[1] t^2 + ...)`: the next one would add 2^-52. */
const [S0, S1, S2, S3, S4, S5, S6, S7, S8, S9] = (() => {
  const terms = [2 * Math.PI];
  for (let k = 2; terms.length < 10; k += 2) terms.push(-terms.at(-1)! * (2 * Math.PI) ** 2 / (k * (k + 1)));
  return terms;
})();

/** `cos(2 pi t)` for t in [0, 1]: the sine of what the angle lacks to a quarter turn. Without a branch or a call. */
function cosineOfTurns(t: number): number {
  const s = Math.abs(t - 0.5) - 0.25, q = s * s;
  const high = S5 + q * (S6 + q * (S7 + q * (S8 + q * S9)));
  return s * (S0 + q * (S1 + q * (S2 + q * (S3 + q * (S4 + q * high)))));
}

/** A 32-bit hash of a text (FNV-1a over UTF-16 code units). */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash | 0;
}

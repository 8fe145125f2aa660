/**
 * Random numbers on the host, counter-based: the n-th number of a stream is a pure function of (seed, stream, n), so
 * that a resumed run draws what an uninterrupted one would have drawn, whatever was drawn in between.
 */
import { compileNormals, type NormalProgram, NORMALS_PER_CALL } from "./normal_program.ts";
import { Threefry } from "./threefry.ts";

/** Compiled when it is first used; none where that fails. */
let program: { readonly compiled?: NormalProgram } | undefined;

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
   * bit, four at a time. Where the difference of logarithms and cosines might change how a number is rounded to f32,
   * for some 50 numbers in a million, `normal` computes it.
   */
  fillNormal(values: Float32Array, deviation: number): void {
    const { compiled } = program ??= { compiled: compileNormals() };
    const exact = (from: number, to: number): void => {
      for (let n = from; n < Math.min(to, values.length); n++) values[n] = deviation * this.normal(n);
    };
    if (!compiled) return exact(0, values.length);
    for (let first = 0; first < values.length; first += NORMALS_PER_CALL) {
      const count = Math.min(NORMALS_PER_CALL, values.length - first);
      const drawn = compiled.draw([this.#seed, this.#stream], first, count, deviation);
      values.set(drawn.values, first);
      for (const group of drawn.doubtful) exact(first + group, first + group + 4);
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

/** A 32-bit hash of a text (FNV-1a over UTF-16 code units). */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash | 0;
}

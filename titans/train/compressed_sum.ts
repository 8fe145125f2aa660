/**
 * Sums over ranks that travel in 16 or 8 bits. Each rank owns a part of the vector: it gets that part of all others,
 * adds up, and sends the sum to all. A ring sends as much, but in f32:
 *
 *     exchange   rank i sends part j, encoded, to rank j, which decodes and adds in f32
 *     gather     rank j sends the sum of part j, encoded, to all
 *
 * So numbers are rounded twice. In int8 that is coarse, and would be biased towards nothing: a gradient below half a
 * step of its block would never arrive. What rounding leaves out is therefore kept and added the next time, at both
 * ends (error feedback; Seide et al. 2014, 1-bit SGD; Tang et al. 2019, DoubleSqueeze, arXiv 1905.05957).
 */
import { fromHalfBits, halfBits } from "../../core/half.ts";
import { type Collective, type Share, shareOf } from "./collective.ts";

/** How gradients travel between ranks: as they are, rounded to bfloat16, or in 8 bits with a scale for each block. */
export type Compression = "none" | "bf16" | "int8";

type Bytes = Uint8Array<ArrayBuffer>;

/** How numbers are put in bytes. The length of what is encoded is known to both sides. */
interface Encoding {
  encode(values: Float32Array): Bytes;
  decode(bytes: Bytes): Float32Array;
  /** Whether what is left out is added the next time. */
  readonly feedback: boolean;
}

/** Numbers that share a scale: a part of one layer's gradient, a cache line of scales for 4,096 of them. */
const BLOCK = 256;
const LEVELS = 127;

const BRAIN: Encoding = {
  encode: (values) => new Uint8Array(halfBits("bf16", values).buffer),
  decode: (bytes) => fromHalfBits("bf16", new Uint16Array(bytes.slice().buffer)),
  feedback: false,
};

/**
 * Scales of all blocks, f32, then a signed byte for each number. A block that is not finite is NaN on the other side.
 */
const INT8: Encoding = {
  encode(values) {
    const blocks = Math.ceil(values.length / BLOCK), bytes = new Uint8Array(4 * blocks + values.length);
    const scales = new Float32Array(bytes.buffer, 0, blocks), levels = new Int8Array(bytes.buffer, 4 * blocks);
    for (let block = 0; block < blocks; block++) {
      const from = block * BLOCK, to = Math.min(values.length, from + BLOCK);
      let most = 0;
      for (let i = from; i < to; i++) {
        const size = Math.abs(values[i]);
        if (!(size <= most)) most = size; // NaN is never replaced
        if (size !== size) break;
      }
      scales[block] = Number.isFinite(most) ? most / LEVELS : NaN;
      const perLevel = most > 0 ? LEVELS / most : 0;
      for (let i = from; i < to; i++) {
        const level = values[i] * perLevel;
        levels[i] = level < 0 ? level - 0.5 : level + 0.5; // an integer array truncates
      }
    }
    return bytes;
  },
  decode(bytes) {
    // n numbers in ceil(n / BLOCK) blocks take n + 4 ceil(n / BLOCK) bytes.
    const blocks = Math.ceil(bytes.length / (BLOCK + 4)), own = bytes.slice().buffer;
    const scales = new Float32Array(own, 0, blocks), levels = new Int8Array(own, 4 * blocks);
    const values = new Float32Array(levels.length);
    for (let i = 0; i < values.length; i++) values[i] = levels[i] * scales[(i / BLOCK) | 0];
    return values;
  },
  feedback: true,
};

/** Adds vectors of one size, again and again. */
export class CompressedSum {
  readonly #collective: Collective;
  readonly #encoding: Encoding;
  readonly #parts: readonly Share[];
  /** What this rank left out of the numbers that it sent, and of the sums of its part; nothing at the beginning. */
  #sent: Float32Array;
  #summed: Float32Array;

  /** @param size Elements of the vectors. */
  constructor(collective: Collective, kind: Exclude<Compression, "none">, size: number) {
    this.#collective = collective;
    this.#encoding = kind === "bf16" ? BRAIN : INT8;
    const blocks = Math.ceil(size / BLOCK);
    this.#parts = Array.from({ length: collective.size }, (_, rank) => {
      const { first, count } = shareOf(blocks, { rank, size: collective.size });
      return { first: first * BLOCK, count: Math.min(size, (first + count) * BLOCK) - first * BLOCK };
    });
    this.#sent = new Float32Array(this.#encoding.feedback ? size : 0);
    this.#summed = new Float32Array(this.#encoding.feedback ? this.#parts[collective.rank].count : 0);
  }

  /**
   * Replaces the numbers by their sums over all ranks, which get the same bits. What is left out is not remembered
   * where a sum is not finite: nothing is trained with it.
   * @param keep Whether what is left out is remembered. Not where the sum is only tried.
   */
  async add(data: Float32Array, keep = true): Promise<void> {
    const { rank } = this.#collective, sent = new Float32Array(this.#sent.length);
    const messages = this.#parts.map(({ first, count }) =>
      this.#encode(data.subarray(first, first + count), this.#sent.subarray(first), sent.subarray(first))
    );
    const sum = new Float32Array(this.#parts[rank].count), summed = new Float32Array(this.#summed.length);
    for (const message of await this.#collective.exchange(messages)) {
      const values = this.#encoding.decode(message);
      for (let i = 0; i < sum.length; i++) sum[i] += values[i];
    }
    const sums = await this.#collective.gather(this.#encode(sum, this.#summed, summed));
    sums.forEach((bytes, from) => data.set(this.#encoding.decode(bytes), this.#parts[from].first));
    if (keep && data.every(Number.isFinite)) [this.#sent, this.#summed] = [sent, summed];
  }

  /** Encodes values and what was left out before. @param after Receives what is left out now. */
  #encode(values: Float32Array, before: Float32Array, after: Float32Array): Bytes {
    if (!this.#encoding.feedback) return this.#encoding.encode(values);
    const wanted = values.slice();
    for (let i = 0; i < wanted.length; i++) wanted[i] += before[i];
    const bytes = this.#encoding.encode(wanted);
    const arrived = this.#encoding.decode(bytes);
    for (let i = 0; i < wanted.length; i++) after[i] = wanted[i] - arrived[i];
    return bytes;
  }
}

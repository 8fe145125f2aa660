/**
 * Floats of 16 bits on the host: rounding to them, and their bits. f16 is IEEE 754's binary16; bf16 is the upper half of
 * an f32. Rounding is to the nearest, of two to the even one; NaN stays NaN, and infinities stay.
 */
import type { Half } from "./dtype.ts";

const word = new Uint32Array(1), float = new Float32Array(word.buffer);

/** The nearest value that the dtype holds. */
export function roundToHalf(dtype: Half, value: number): number {
  return dtype === "f16" ? Math.f16round(value) : fromBrainBits(brainBits(value));
}

/** The bits of elements, each rounded to the dtype. */
export function halfBits(dtype: Half, values: ArrayLike<number>, count = values.length): Uint16Array<ArrayBuffer> {
  const bits = new Uint16Array(count);
  if (dtype === "f16") new Float16Array(bits.buffer).set(values);
  else for (let i = 0; i < values.length; i++) bits[i] = brainBits(values[i]);
  return bits;
}

/** The elements with the given bits. */
export function fromHalfBits(dtype: Half, bits: Uint16Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  if (dtype === "f16") return Float32Array.from(new Float16Array(bits.buffer, bits.byteOffset, bits.length));
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i] << 16;
  return new Float32Array(words.buffer);
}

/** The bits of a bf16. A double is rounded only once: to odd on the way through f32. */
function brainBits(value: number): number {
  float[0] = value;
  if (Number.isNaN(value)) return (word[0] >>> 16) | 0x40;
  const rest = value - float[0];
  if (rest !== 0 && Number.isFinite(rest) && (word[0] & 1) === 0) {
    word[0] += (rest > 0) === (value > 0) ? 1 : -1;
  }
  return (word[0] + 0x7fff + ((word[0] >>> 16) & 1)) >>> 16;
}

function fromBrainBits(bits: number): number {
  word[0] = bits << 16;
  return float[0];
}

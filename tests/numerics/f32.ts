/** Single-precision numbers by their bits: neighbours, distances, and the values at which arithmetic goes wrong. */

const view = new DataView(new ArrayBuffer(4));

/** The f32 with given bits, as a double. */
export function fromBits(bits: number): number {
  view.setUint32(0, bits >>> 0);
  return view.getFloat32(0);
}

/** The bits of a number as f32. */
export function toBits(value: number): number {
  view.setFloat32(0, value);
  return view.getUint32(0);
}

/** The greatest finite f32. */
export const GREATEST = fromBits(0x7f7fffff);
/** The least f32 of full precision. */
export const LEAST_NORMAL = fromBits(0x00800000);
/** The least f32 above 0. */
export const LEAST = fromBits(1);

/** A number's place in the order of all f32; infinity follows the greatest finite number, and both zeros are 0. */
function placeOf(value: number): number {
  const bits = toBits(value);
  return bits >= 0x80000000 ? 0x80000000 - bits : bits;
}

/**
 * How many f32 lie between a result and a value that need not be one: the error in units of the last place (ulp) of the
 * value.
 */
export function ulpDistance(result: number, exact: number): number {
  const rounded = Math.fround(exact);
  if (!Number.isFinite(rounded) || !Number.isFinite(result)) return Math.abs(placeOf(result) - placeOf(rounded));
  const exponent = (toBits(rounded) >>> 23) & 0xff;
  return Math.abs(result - exact) / (LEAST * 2 ** Math.max(exponent - 1, 0));
}

/** Whether f32 holds a number only with fewer bits; devices may take it for 0. */
export function isSubnormal(value: number): boolean {
  return value !== 0 && Math.abs(value) < LEAST_NORMAL;
}

const both = (...values: number[]) => values.flatMap((value) => [Math.fround(value), -Math.fround(value)]);

/**
 * Where functions of one number have their corners. NaN comes in three kinds: quiet, negative, and one that would
 * signal.
 */
export const EDGE_BITS: Uint32Array = Uint32Array.from([
  0x7fc00000,
  0xffc00000,
  0x7f800001,
  ...both(
    0,
    Infinity,
    1,
    LEAST,
    1e-40,
    LEAST_NORMAL,
    GREATEST,
    1e38,
    1e30,
    1e20,
    1e19,
    1e10,
    1e-3,
    1e-10,
    1e-20,
    1e-30,
    0.5,
    1.5,
    2.5,
    2,
    3,
    9,
    17,
    88.8,
    104,
  )
    .map(toBits),
  ...both(8388607.5, 16777216, 2147483648, 4294967296, 4294967040, 2147483520, 6001, 123456.7, 0.9999999, 1.0000001)
    .map(toBits),
]);

/** The edge values as a device takes them. */
export const EDGES: Float32Array = new Float32Array(EDGE_BITS.buffer);

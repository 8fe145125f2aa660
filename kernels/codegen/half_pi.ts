/**
 * Constants for the argument reduction of sine and cosine; see Muller, Elementary Functions, chapter on range
 * reduction.
 */

/**
 * pi / 2 as the sum of four positive parts of decreasing magnitude, so that -0 is preserved. Products of the first
 * three with integers of up to 12 bits are exact in f32 (Cody and Waite).
 */
export const HALF_PI_PARTS = [1.5703125, 0.0004837512969970703, 7.549533620476723e-8, 2.5633440682570896e-12] as const;

/** Largest argument for which the number of quarter turns fits in 12 bits. */
export const MAX_SUBTRACTED = 6000;

/** The first 224 fractional bits of 2 / pi. */
export const TWO_OVER_PI_WORDS = [
  0xa2f9836e,
  0x4e441529,
  0xfc2757d1,
  0xf534ddc0,
  0xdb629599,
  0x3c439041,
  0xfe5163ab,
] as const;

/**
 * Mutations of valid files: what a bad disk, a broken download, another program or somebody who means harm makes of
 * them.
 */
import type { Random } from "./random.ts";

/** No input is longer. */
export const MOST_BYTES = 2 ** 16;

const INTEGERS = [
  0,
  1,
  2,
  127,
  128,
  255,
  256,
  32767,
  65535,
  2 ** 20,
  2 ** 24,
  2 ** 27,
  2 ** 30,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 40,
  2 ** 53,
  2 ** 60,
];
const NUMBERS = [
  "0",
  "-1",
  "1e999",
  "-0",
  "NaN",
  "1.5",
  "2147483648",
  "9007199254740993",
  "1152921504606846976",
  "1e308",
  "-1e-400",
  "00",
  "null",
  "[]",
  "{}",
  '""',
];
const BYTES = [
  0,
  1,
  9,
  10,
  13,
  0x1b,
  0x20,
  0x22,
  0x2c,
  0x5b,
  0x5c,
  0x7b,
  0x7f,
  0x80,
  0xbf,
  0xc0,
  0xed,
  0xf4,
  0xf8,
  0xfe,
  0xff,
];
// Overlong, lone surrogates, beyond Unicode, cut short, marks, separators that end lines for some.
const TEXTS = [
  "\xc0\xaf",
  "\xed\xa0\x80",
  "\xf5\x80\x80\x80",
  "\xe2\x82",
  "\xef\xbb\xbf",
  "\xff\xfe",
  "\xe2\x80\xa8",
  "\r",
  "\n",
  "\r\n\r\n",
  "\\ud800",
  '"',
  "__proto__",
  "\0\0\0\0",
];
const NESTS: readonly (readonly [open: string, close: string])[] = [["[", "]"], ['{"a":', "}"], ['"', ""], ["(", ")"], [
  "\x1c",
  "\0",
], [
  "\xf9\xff\xff\xff\x0f",
  "",
], ["{", "}"]];

/** A mutated file: one to six changes. @param others Valid files to take pieces from. */
export function mutate(bytes: Uint8Array, random: Random, others: readonly Uint8Array[]): Uint8Array {
  let changed = bytes;
  for (let changes = 1 + random.below(random.oneIn(3) ? 6 : 2); changes > 0; changes--) {
    changed = random.pick(MUTATIONS)(changed, random, others).subarray(0, MOST_BYTES);
  }
  return changed;
}

type Mutation = (bytes: Uint8Array, random: Random, others: readonly Uint8Array[]) => Uint8Array;

const MUTATIONS: readonly Mutation[] = [
  (bytes, random) => changedAt(bytes, random, (byte) => byte ^ (1 << random.below(8))),
  (bytes, random) => changedAt(bytes, random, () => random.pick(BYTES)),
  (bytes, random) => changedAt(bytes, random, () => random.below(256)),
  (bytes, random) => changedAt(bytes, random, (byte) => byte + (random.oneIn(2) ? 1 : -1)),
  (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1)),
  (bytes, random) => bytes.subarray(random.below(Math.min(bytes.length, 64) + 1)),
  (bytes, random) => {
    const [start, end] = range(bytes, random);
    return replaced(bytes, [start, end], new Uint8Array(0));
  },
  (bytes, random) => {
    const [start, end] = range(bytes, random),
      times = random.oneIn(8) ? 500 : 1 + random.below(4),
      part = bytes.subarray(start, end);
    const many = new Uint8Array(Math.min(MOST_BYTES, part.length * times));
    for (let at = 0; at + part.length <= many.length && part.length > 0; at += part.length) many.set(part, at);
    return replaced(bytes, [end, end], many);
  },
  (bytes, random, others) => {
    const other = random.pick(others), [start, end] = range(other, random), at = random.below(bytes.length + 1);
    return replaced(
      bytes,
      [at, Math.min(bytes.length, at + random.below(end - start + 1))],
      other.subarray(start, end),
    );
  },
  (bytes, random) => {
    // A length field, in either order of bytes.
    const size = random.pick([1, 2, 4, 8]),
      copy = bytes.slice(),
      value = random.pick(INTEGERS) - (random.oneIn(4) ? 1 : 0);
    const places = random.oneIn(3)
      ? [0, bytes.length - 8, bytes.length - 4]
      : [random.below(Math.max(1, bytes.length))];
    const at = Math.max(0, Math.min(random.pick(places), bytes.length - size)), order = random.oneIn(4);
    for (let i = 0; i < size && at + i < copy.length; i++) {
      copy[at + (order ? size - 1 - i : i)] = Number((BigInt(value) >> BigInt(8 * i)) & 255n);
    }
    return copy;
  },
  (bytes, random) => {
    // A varint, which ends where its highest bit is 0.
    const at = random.below(bytes.length + 1),
      long = [...new Array(random.below(11)).fill(0xff), random.pick([0x0f, 0x7f, 0x01])];
    return replaced(bytes, [at, at + random.below(2)], Uint8Array.from(long));
  },
  (bytes, random) => {
    // A number in a text.
    const text = latin1(bytes.subarray(0, 2 ** 13)), found = [...text.matchAll(/-?\d+(\.\d+)?/g)];
    if (found.length === 0) return bytes;
    const { 0: digits, index } = random.pick(found);
    return replaced(bytes, [index, index + digits.length], letters(random.pick(NUMBERS)));
  },
  (bytes, random) => {
    const at = random.below(bytes.length + 1);
    return replaced(bytes, [at, at], letters(random.pick(TEXTS)));
  },
  (bytes, random) => {
    const [open, close] = random.pick(NESTS),
      depth = random.pick([2, 70, 300, 3000, 9000]),
      at = random.below(bytes.length + 1);
    return replaced(bytes, [at, at], letters(open.repeat(depth) + (random.oneIn(2) ? close.repeat(depth) : "")));
  },
  (bytes, random) => {
    const [a, b] = range(bytes, random), [c, d] = range(bytes, random);
    return replaced(bytes, [a, b], bytes.slice(c, d));
  },
];

/** A text of letters below 256 as bytes. */
export function letters(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function changedAt(bytes: Uint8Array, random: Random, change: (byte: number) => number): Uint8Array {
  if (bytes.length === 0) return bytes;
  // Headers and footers are where the structure is.
  const near = Math.min(64, bytes.length), place = random.below(3), copy = bytes.slice();
  const at = place === 0
    ? random.below(near)
    : place === 1
    ? bytes.length - 1 - random.below(near)
    : random.below(bytes.length);
  copy[at] = change(copy[at]);
  return copy;
}

function range(bytes: Uint8Array, random: Random): [start: number, end: number] {
  const start = random.below(bytes.length + 1), most = bytes.length - start;
  return [start, start + random.below((random.oneIn(3) ? most : Math.min(most, 32)) + 1)];
}

function replaced(bytes: Uint8Array, [start, end]: readonly [number, number], by: Uint8Array): Uint8Array {
  const result = new Uint8Array(start + by.length + Math.max(0, bytes.length - end));
  result.set(bytes.subarray(0, start));
  result.set(by, start);
  result.set(bytes.subarray(end), start + by.length);
  return result;
}

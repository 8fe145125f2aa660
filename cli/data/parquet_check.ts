/**
 * What is checked of a Parquet file before its reader gets to see it: that no number in it makes the reader take more
 * memory or time than the file's size explains. Metadata and headers of pages are in Thrift's compact protocol, levels
 * and dictionary indices in runs (RLE and bit-packed).
 */

/** More values in one page would take too much memory; writers put thousands, or a few megabytes, in one. */
export const MOST_VALUES = 2 ** 24;
/** More bytes in one page would take too much memory. */
export const MOST_PAGE_BYTES = 2 ** 28;
const MOST_DEPTH = 64;

// Types of the compact protocol.
const BYTE = 3, I64 = 6, DOUBLE = 7, BINARY = 8, LIST = 9, SET = 10, STRUCT = 12;

/**
 * Walks over a Thrift struct.
 * @returns The place behind it.
 * @throws {Error} if it does not end within the bytes, claims more than there is, or is nested too deeply.
 */
export function checkStruct(bytes: Uint8Array, from: number): number {
  return walkStruct(bytes, from, 0);
}

function walkStruct(bytes: Uint8Array, from: number, depth: number): number {
  if (depth > MOST_DEPTH) throw new Error(`its metadata is nested more than ${MOST_DEPTH} times`);
  for (let at = from;;) {
    if (at >= bytes.length) throw new Error("its metadata ends too early");
    const head = bytes[at++], type = head & 15;
    if (type === 0) return at;
    if (head >> 4 === 0) [, at] = varint(bytes, at);
    at = walkValue(bytes, at, { type, depth, inList: false });
  }
}

function walkValue(
  bytes: Uint8Array,
  at: number,
  { type, depth, inList }: { type: number; depth: number; inList: boolean },
): number {
  if (type === STRUCT) return walkStruct(bytes, at, depth + 1);
  if (type === LIST || type === SET) return walkList(bytes, at, depth + 1);
  if (type === BINARY) {
    const [length, start] = varint(bytes, at);
    return within(bytes, start + length);
  }
  if (type === DOUBLE) return within(bytes, at + 8);
  if (type === BYTE) return within(bytes, at + 1);
  if (type < BYTE) return within(bytes, at + (inList ? 1 : 0));
  if (type <= I64) return varint(bytes, at)[1];
  throw new Error(`its metadata has a value of the unknown type ${type}`);
}

function walkList(bytes: Uint8Array, from: number, depth: number): number {
  if (depth > MOST_DEPTH) throw new Error(`its metadata is nested more than ${MOST_DEPTH} times`);
  let at = within(bytes, from + 1), size = bytes[from] >> 4;
  if (size === 15) [size, at] = varint(bytes, at);
  if (size > bytes.length - at) {
    throw new Error(`its metadata has a list of ${size} entries in ${bytes.length - at} bytes`);
  }
  for (let i = 0; i < size; i++) at = walkValue(bytes, at, { type: bytes[from] & 15, depth, inList: true });
  return at;
}

/** A varint of at most 64 bits and the place behind it. */
function varint(bytes: Uint8Array, from: number): [value: number, end: number] {
  let value = 0, scale = 1;
  for (let at = from; at < bytes.length && at < from + 10; at++, scale *= 128) {
    value += (bytes[at] & 0x7f) * scale;
    if (bytes[at] < 0x80) return [value, at + 1];
  }
  throw new Error("its metadata ends within a number");
}

function within(bytes: Uint8Array, end: number): number {
  if (end > bytes.length) throw new Error("its metadata ends too early");
  return end;
}

/**
 * Checks that runs of values are no more values than there should be.
 * @param bytes Where they are, from `from` on.
 * @param count How many values there should be at most.
 * @param width Bits of a value.
 * @throws {Error} if a run is longer than that.
 */
export function checkRuns(bytes: Uint8Array, from: number, { count, width }: { count: number; width: number }): void {
  for (let at = from, seen = 0; at < bytes.length && seen < count;) {
    let header: number;
    [header, at] = varint(bytes, at);
    const length = Math.floor(header / 2), isPacked = header % 2 === 1;
    // Packed runs are filled up to eight values; what is missing of them at the end shows when they are read.
    const values = isPacked ? 8 * length : length, most = isPacked ? count - seen + 7 : count - seen;
    if (header >= 2 ** 32 || (values > most && (!isPacked || length * width <= bytes.length - at))) {
      throw new Error(`it has a run of ${values} values where ${count - seen} are left`);
    }
    seen += values;
    at += isPacked ? length * width : Math.ceil(width / 8);
  }
}

/**
 * Checks the header of numbers in DELTA_BINARY_PACKED: a block of no or a negative number of parts is never left.
 * @returns How many numbers it says that they are.
 * @throws {Error} if its numbers make no sense.
 */
export function checkDelta(bytes: Uint8Array, from: number): number {
  const [blockSize, second] = varint(bytes, from),
    [parts, third] = varint(bytes, second),
    [count] = varint(bytes, third);
  if (
    !(blockSize > 0 && blockSize <= 2 ** 20 && parts > 0 && parts <= blockSize && blockSize % parts === 0 &&
      count <= MOST_VALUES)
  ) {
    throw new Error(`a page has blocks of ${blockSize} numbers in ${parts} parts`);
  }
  return count;
}

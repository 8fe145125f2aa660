/**
 * The safetensors format: an 8-byte little-endian length, a JSON header of that length, then the bytes of the tensors.
 *
 * The header maps names to `{ dtype, shape, data_offsets: [begin, end] }`, offsets counting from the end of the header,
 * and `__metadata__` to a map from text to text. Floats of 16 bits are widened when read. Pure functions of bytes; reading and writing files is the caller's.
 */
import { fromHalfBits } from "../../core/half.ts";
import { CheckpointError } from "../errors.ts";

/** The arrays that can be stored. */
export type TensorData = Float32Array | Int32Array | Uint32Array | Int8Array;

/** A tensor of a safetensors file. */
export interface StoredTensor {
  /** Extents, outermost first. */
  readonly shape: readonly number[];
  /** Elements, row-major. */
  readonly data: TensorData;
}

/** The content of a safetensors file. */
export interface StoredTensors {
  /** By name. */
  readonly tensors: Readonly<Record<string, StoredTensor>>;
  /** Texts by key. */
  readonly metadata: Readonly<Record<string, string>>;
}

const LENGTH_BYTES = 8;
const MAX_HEADER_BYTES = 100_000_000;
const METADATA = "__metadata__";
const ARRAYS = { F32: Float32Array, I32: Int32Array, U32: Uint32Array, I8: Int8Array };
const HALVES = { F16: "f16", BF16: "bf16" } as const;
type StoredType = keyof typeof ARRAYS | keyof typeof HALVES;

/**
 * The bytes of a safetensors file.
 * @throws {CheckpointError} if a shape does not fit its data, or a tensor is called `__metadata__`.
 */
export function encodeSafetensors({ tensors, metadata }: StoredTensors): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { [METADATA]: metadata };
  // Wide elements first, so that all are aligned.
  const entries = Object.entries(tensors).sort(([, a], [, b]) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT);
  let end = 0;
  for (const [name, { shape, data }] of entries) {
    if (name === METADATA) throw new CheckpointError(`Cannot store a tensor called ${METADATA}: the name is reserved`);
    if (sizeOf(shape) !== data.length) {
      throw new CheckpointError(`Cannot store ${name} of shape [${shape.join(", ")}]: it has ${data.length} elements`);
    }
    const dtype = (Object.keys(ARRAYS) as (keyof typeof ARRAYS)[]).find((type) => data instanceof ARRAYS[type]);
    header[name] = { dtype, shape, data_offsets: [end, end += data.byteLength] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  // Spaces after the header align the tensors, as the format allows.
  const headerBytes = Math.ceil(text.length / LENGTH_BYTES) * LENGTH_BYTES;
  const bytes = new Uint8Array(LENGTH_BYTES + headerBytes + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.fill(0x20, LENGTH_BYTES, LENGTH_BYTES + headerBytes);
  bytes.set(text, LENGTH_BYTES);
  let offset = LENGTH_BYTES + headerBytes;
  for (const [, { data }] of entries) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
  }
  return bytes;
}

/**
 * Reads the bytes of a safetensors file. Everything is checked: nothing is trusted about the header.
 * @throws {CheckpointError} in one line, if the bytes are cut short or damaged, or a tensor has a type other than F32,
 * F16, BF16, I32, U32 and I8.
 */
export function decodeSafetensors(bytes: Uint8Array): StoredTensors {
  const { header, start } = readHeader(bytes);
  const size = bytes.length - start;
  const tensors: Record<string, StoredTensor> = {};
  const ranges: { name: string; begin: number; end: number }[] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name === METADATA) continue;
    const { dtype, shape, begin, end } = readEntry(name, entry);
    if (end > size) {
      throw new CheckpointError(
        `Cannot read tensor ${name}: it ends at byte ${end}, the file has ${size}; it is cut short`,
      );
    }
    ranges.push({ name, begin, end });
    // A copy: elements may lie at any byte.
    const data = elementsOf(dtype, bytes.slice(start + begin, start + end).buffer);
    Object.defineProperty(tensors, name, {
      value: { shape, data },
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  ranges.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of ranges) {
    if (begin !== covered) {
      throw new CheckpointError(
        `Cannot read tensor ${name}: it starts at byte ${begin}, expected ${covered}; tensors ${
          begin < covered ? "overlap" : "leave a gap"
        }`,
      );
    }
    covered = end;
  }
  if (covered !== size) {
    throw new CheckpointError(
      `Cannot read safetensors: ${size - covered} bytes follow the last tensor; the file is damaged`,
    );
  }
  return { tensors, metadata: readMetadata(header) };
}

function isHalfType(dtype: StoredType): dtype is keyof typeof HALVES {
  return Object.hasOwn(HALVES, dtype);
}

function elementsOf(dtype: StoredType, bytes: ArrayBuffer): TensorData {
  return isHalfType(dtype) ? fromHalfBits(HALVES[dtype], new Uint16Array(bytes)) : new ARRAYS[dtype](bytes);
}

function readHeader(bytes: Uint8Array): { header: Record<string, unknown>; start: number } {
  const fail = (reason: string): never => {
    throw new CheckpointError(`Cannot read safetensors: ${reason}`);
  };
  if (bytes.length < LENGTH_BYTES) {
    fail(`the file has ${bytes.length} bytes, it needs at least ${LENGTH_BYTES}; it is empty or cut short`);
  }
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES) fail(`the header claims ${length} bytes; this is no safetensors file`);
  if (length > bytes.length - LENGTH_BYTES) {
    fail(`the header has ${length} bytes, the file only ${bytes.length - LENGTH_BYTES} more; it is cut short`);
  }
  let header: unknown;
  try {
    header = JSON.parse(
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + length)),
    );
  } catch {
    fail("the header is not JSON; the file is damaged or no safetensors file");
  }
  if (!isRecord(header)) return fail("the header is not a JSON object");
  return { header, start: LENGTH_BYTES + length };
}

function readEntry(name: string, entry: unknown): { dtype: StoredType; shape: number[]; begin: number; end: number } {
  const fail = (reason: string): never => {
    throw new CheckpointError(`Cannot read tensor ${name}: ${reason}`);
  };
  if (!isRecord(entry)) return fail("its header entry is not an object");
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== "string" || !Object.hasOwn({ ...ARRAYS, ...HALVES }, dtype)) {
    return fail(`its type is ${JSON.stringify(dtype)}, known are F32, F16, BF16, I32, U32 and I8`);
  }
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  if (!Array.isArray(shape) || !shape.every(isCount)) return fail("its shape is not a list of non-negative integers");
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    return fail("its data_offsets are not two non-negative integers");
  }
  const [begin, end] = offsets as [number, number];
  const type = dtype as StoredType, size = isHalfType(type) ? 2 : ARRAYS[type].BYTES_PER_ELEMENT;
  const sizeBytes = sizeOf(shape) * size;
  if (end - begin !== sizeBytes) {
    return fail(`shape [${shape.join(", ")}] needs ${sizeBytes} bytes, data_offsets span ${end - begin}`);
  }
  return { dtype: type, shape, begin, end };
}

function readMetadata(header: Record<string, unknown>): Record<string, string> {
  const metadata = Object.hasOwn(header, METADATA) ? header[METADATA] : {};
  if (!isRecord(metadata) || !Object.values(metadata).every((value) => typeof value === "string")) {
    throw new CheckpointError(`Cannot read safetensors: ${METADATA} is not a map from text to text`);
  }
  return metadata as Record<string, string>;
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, extent) => size * extent, 1);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

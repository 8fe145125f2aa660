/**
 * Event files of TensorBoard, as far as scalars need them. A file is a list of records in the TFRecord format, each an
 * `Event` in the binary form of protocol buffers:
 *
 *     record   length u64, masked CRC-32C of these 8 bytes u32, data, masked CRC-32C of the data u32; little-endian
 *     Event    1: wall time f64, 2: step varint, then one of 3: file version, 5: Summary, 7: SessionLog
 *     Summary  1: Value { 1: tag, 2: value f32 }, repeated
 *
 * A run that goes on writes a further file, whose second event is the start of a session: TensorBoard then forgets what
 * earlier files say of its step and those after it.
 */
import type { StepEvent, ValidationEvent } from "./events.ts";
import { codeOf, writeError, writing } from "./files.ts";

/** What the names of event files begin with: TensorBoard looks for it. */
export const EVENT_FILE = "events.out.tfevents.";
const FILE_VERSION = "brain.Event:2";
const SESSION_START = 1;

/** An event file that is being written. */
export class EventFile {
  readonly #path: string;
  readonly #file: Deno.FsFile;

  private constructor(path: string, file: Deno.FsFile) {
    this.#path = path;
    this.#file = file;
  }

  /**
   * Starts a file.
   * @param folder Where; TensorBoard shows a folder as a run.
   * @param step The first step that it will have; later ones of earlier files are void.
   * @param now The time, in milliseconds.
   */
  static async open(folder: string, step: number, now: number = Date.now()): Promise<EventFile> {
    const seconds = Math.floor(now / 1000);
    for (let n = 0;; n++) {
      // In the order of their names, files are read.
      const path = `${folder}/${EVENT_FILE}${seconds}.mneme.${n}`;
      const options = { createNew: true, append: true };
      const file = await writing(path, () => Deno.open(path, options)).catch((error) => {
        if (codeOf((error as Error).cause) !== "EEXIST") throw error;
      });
      if (!file) continue;
      const events = new EventFile(path, file);
      events.#write({ seconds: now / 1000, version: FILE_VERSION });
      events.#write({ seconds: now / 1000, step, sessionStart: true });
      return events;
    }
  }

  /** Writes the figures of a step or a validation. */
  log({ event, step, ...fields }: StepEvent | ValidationEvent): void {
    const prefix = event === "step" ? "train" : "validation";
    const scalars = Object.entries(fields).filter((field): field is [string, number] => typeof field[1] === "number")
      .map(([name, value]) => [`${prefix}/${name}`, value] as const);
    this.#write({ seconds: Date.now() / 1000, step, scalars });
  }

  /** Closes the file. */
  close(): void {
    this.#file.close();
  }

  #write(event: EventFields): void {
    let bytes = encodeRecord(encodeEvent(event));
    try {
      while (bytes.length > 0) bytes = bytes.subarray(this.#file.writeSync(bytes));
    } catch (error) {
      throw writeError(this.#path, error);
    }
  }
}

/** What an event says. */
export interface EventFields {
  /** Since 1970. */
  readonly seconds: number;
  readonly step?: number;
  /** Of the format; of the first event of a file. */
  readonly version?: string;
  /** Values by tag. */
  readonly scalars?: readonly (readonly [tag: string, value: number])[];
  /** Whether what earlier files say of this step and later ones is void. */
  readonly sessionStart?: boolean;
}

/** An `Event` in the binary form of protocol buffers. */
export function encodeEvent({ seconds, step = 0, version, scalars, sessionStart }: EventFields): Uint8Array {
  return joined([
    field(1, "f64", seconds),
    ...(step === 0 ? [] : [field(2, "varint", step)]),
    ...(version === undefined ? [] : [field(3, "bytes", new TextEncoder().encode(version))]),
    ...(scalars ? [field(5, "bytes", joined(scalars.map((scalar) => field(1, "bytes", encodeValue(scalar)))))] : []),
    ...(sessionStart ? [field(7, "bytes", field(1, "varint", SESSION_START))] : []),
  ]);
}

function encodeValue([tag, value]: readonly [string, number]): Uint8Array {
  return joined([field(1, "bytes", new TextEncoder().encode(tag)), field(2, "f32", value)]);
}

/** How a value is written, in the order of the wire format's numbers. */
type Wire = "varint" | "f64" | "bytes" | "f32";

const WIRE_NUMBERS: Readonly<Record<Wire, number>> = { varint: 0, f64: 1, bytes: 2, f32: 5 };

function field(number: number, wire: "varint" | "f64" | "f32", value: number): Uint8Array;
function field(number: number, wire: "bytes", value: Uint8Array): Uint8Array;
function field(number: number, wire: Wire, value: number | Uint8Array): Uint8Array {
  const key = varint(number << 3 | WIRE_NUMBERS[wire]);
  if (typeof value !== "number") return joined([key, varint(value.length), value]);
  if (wire === "varint") return joined([key, varint(value)]);
  const bytes = new Uint8Array(wire === "f64" ? 8 : 4), view = new DataView(bytes.buffer);
  if (wire === "f64") view.setFloat64(0, value, true);
  else view.setFloat32(0, value, true);
  return joined([key, bytes]);
}

/** A whole number in groups of seven bits, the lowest first. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push(value % 128 | 128);
  return Uint8Array.of(...bytes, value);
}

/** A record of the TFRecord format. */
export function encodeRecord(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + 16), view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc(bytes.subarray(0, 8)), true);
  bytes.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc(data), true);
  return bytes;
}

/** A CRC-32C, turned and shifted so that the CRC of data that has CRCs in it is not a trivial one. */
function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return ((crc >>> 15 | crc << 17) + 0xa282ead8) >>> 0;
}

/** The CRC-32C (Castagnoli) of each byte. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? byte >>> 1 ^ 0x82f63b78 : byte >>> 1;
  return byte;
});

/** The CRC-32C (Castagnoli) of some bytes. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255] ^ crc >>> 8;
  return (crc ^ 0xffffffff) >>> 0;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

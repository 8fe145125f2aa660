/** Reads the beginning of a memory file, without its arrays. */
import { CommandError } from "../errors.ts";

/** What the beginning of a file says. */
export interface MemoryHeader {
  readonly metadata: Readonly<Record<string, string>>;
  /** Of the whole file. */
  readonly sizeBytes: number;
}

const LENGTH_BYTES = 8, MOST_HEADER_BYTES = 2 ** 24;

/** @throws {CommandError} if the file is damaged or cut short. */
export async function readMemoryHeader(path: string): Promise<MemoryHeader> {
  using file = await Deno.open(path);
  const { size: sizeBytes } = await file.stat();
  try {
    const head = await readExactly(file, LENGTH_BYTES);
    const length = Number(new DataView(head.buffer).getBigUint64(0, true));
    if (length > MOST_HEADER_BYTES) throw new RangeError("its header is too long");
    const header = JSON.parse(new TextDecoder().decode(await readExactly(file, length))) as Record<string, unknown>;
    const { __metadata__: metadata, ...tensors } = header;
    const end = Math.max(
      0,
      ...Object.values(tensors as Record<string, Tensor>).map(({ data_offsets }) => data_offsets[1]),
    );
    if (LENGTH_BYTES + length + end !== sizeBytes) throw new RangeError("it is cut short");
    return { metadata: metadata as Record<string, string>, sizeBytes };
  } catch (cause) {
    if (!(cause instanceof RangeError || cause instanceof SyntaxError || cause instanceof TypeError)) throw cause;
    throw new CommandError(`${path} is no memory file: move it elsewhere, or restore it from a backup`, { cause });
  }
}

interface Tensor {
  readonly data_offsets: readonly [number, number];
}

async function readExactly(file: Deno.FsFile, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const count = await file.read(bytes.subarray(at));
    if (count === null) throw new RangeError("it is cut short");
    at += count;
  }
  return bytes;
}

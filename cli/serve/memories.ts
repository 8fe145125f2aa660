/**
 * The memories of a server: a folder of memory files, as `remember` writes them. A change is on disk before it is
 * acknowledged: the file is replaced atomically and synced, so that a killed server has every acknowledged memory.
 *
 *     ID.memory     a memory; its notes say when it was made and how often it changed
 *     serve.lock    held by the server that has the folder
 */
import { CheckpointError, decodeMemory, encodeMemory, type MemoryFile, type MemoryOwner } from "../../titans/mod.ts";
import { CommandError, UsageError } from "../errors.ts";
import { makeFolder, syncFolderOf, writeAtomic, writing } from "../files.ts";
import { openLocked } from "../lock.ts";
import { allFinite } from "../not_finite.ts";
import { ApiError, invalid } from "./api_error.ts";
import { readMemoryHeader } from "./memory_header.ts";

/** What is known of a memory. */
export interface MemoryFacts {
  readonly id: string;
  /** When it was made, in seconds since 1970. */
  readonly created: number;
  /** How often it has changed. */
  readonly revision: number;
  readonly tokensRead: number;
  /** Of its file. */
  readonly sizeBytes: number;
}

const ENDING = ".memory", LOCK = "serve.lock";
/** Lower case only: some file systems do not tell cases apart. */
const ID = /^[a-z0-9][a-z0-9_-]{0,63}$/;

/** Checks an id that a client gives. @throws {ApiError} if it cannot be one. */
export function checkId(id: string): string {
  if (ID.test(id)) return id;
  throw invalid(
    "id",
    "The id of a memory has up to 64 lower-case letters, digits, - and _, and begins with a letter or digit",
  );
}

/** Memories in a folder that belongs to this process. */
export class MemoryStore {
  readonly #folder: string;
  readonly #owner: MemoryOwner;
  readonly #lock: Deno.FsFile;
  readonly #facts: Map<string, MemoryFacts>;
  /** The last change of each memory that is being changed. */
  readonly #changes = new Map<string, Promise<unknown>>();
  #sizeBytes = 0;

  private constructor(folder: string, owner: MemoryOwner, lock: Deno.FsFile, facts: readonly MemoryFacts[]) {
    this.#folder = folder;
    this.#owner = owner;
    this.#lock = lock;
    this.#facts = new Map(facts.map((each) => [each.id, each]));
    this.#sizeBytes = facts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  /**
   * Opens a folder, which is created if needed, and looks at every memory in it.
   * @throws {UsageError} if another server has it, or a memory is of another model; {CommandError} if one is damaged.
   */
  static async open(folder: string, owner: MemoryOwner): Promise<MemoryStore> {
    await makeFolder(folder, "--state");
    const path = `${folder}/${LOCK}`, lock = await writing(path, () => openLocked(path));
    if (!lock) throw new UsageError(`another server has the memories in ${folder}: stop it, or choose another --state`);
    try {
      const facts: MemoryFacts[] = [];
      for await (const { name } of Deno.readDir(folder)) {
        // What a killed server was writing, and had not acknowledged.
        if (name.endsWith(".part")) await Deno.remove(`${folder}/${name}`);
        else if (name.endsWith(ENDING)) facts.push(await readFacts(folder, name, owner));
      }
      return new MemoryStore(folder, owner, lock, facts);
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  /** How many there are. */
  get count(): number {
    return this.#facts.size;
  }

  /** Bytes that they take on disk. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** All of them, in the order of their ids. */
  list(): MemoryFacts[] {
    return [...this.#facts.values()].sort((a, b) => a.id < b.id ? -1 : 1);
  }

  /** Whether there is one. */
  has(id: string): boolean {
    return this.#facts.has(id);
  }

  /** @throws {ApiError} 404 if there is none. */
  facts(id: string): MemoryFacts {
    const facts = this.#facts.get(id);
    if (facts) return facts;
    throw new ApiError(404, `There is no memory ${JSON.stringify(id)}`, { param: "memory", code: "memory_not_found" });
  }

  /** The bytes of its file. */
  async bytes(id: string): Promise<Uint8Array<ArrayBuffer>> {
    this.facts(id);
    return await Deno.readFile(this.#path(id));
  }

  /** What it holds. */
  async load(id: string): Promise<MemoryFile> {
    return decodeMemory(await this.bytes(id), this.#owner);
  }

  /** What an uploaded file holds. @throws {ApiError} if it is damaged or of another model. */
  decode(bytes: Uint8Array): MemoryFile {
    try {
      return decodeMemory(bytes, this.#owner);
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      throw new ApiError(400, error.message, { code: "invalid_memory" });
    }
  }

  /**
   * Stores a memory, in place of the one that has its id; it is durable when this returns.
   * @throws {ApiError} 422 if it is not finite; the old one then remains.
   */
  async save(id: string, { reading, notes }: MemoryFile): Promise<MemoryFacts> {
    const arrays = Object.values(reading.arrays).map(({ data }) => data as Float32Array);
    if (![...arrays, reading.logits ?? []].every(allFinite)) {
      throw new ApiError(
        422,
        "The memory is no longer finite and was not stored: read another text, or train with a lower --lr",
        {
          code: "memory_not_finite",
        },
      );
    }
    const before = this.#facts.get(id);
    const created = before?.created ?? Math.floor(Date.now() / 1000), revision = (before?.revision ?? 0) + 1;
    const own = { ...notes, created: String(created), revision: String(revision) };
    const bytes = encodeMemory(this.#owner, { reading, notes: own });
    await writeAtomic(this.#path(id), bytes);
    const facts = { id, created, revision, tokensRead: reading.tokensRead, sizeBytes: bytes.length };
    this.#facts.set(id, facts);
    this.#sizeBytes += facts.sizeBytes - (before?.sizeBytes ?? 0);
    return facts;
  }

  /** Removes a memory, durably. */
  async remove(id: string): Promise<void> {
    const { sizeBytes } = this.facts(id);
    await Deno.remove(this.#path(id));
    await syncFolderOf(this.#path(id));
    this.#facts.delete(id);
    this.#sizeBytes -= sizeBytes;
  }

  /** Runs changes of one memory one after the other. */
  async exclusive<T>(id: string, change: () => Promise<T>): Promise<T> {
    const own = (this.#changes.get(id) ?? Promise.resolve()).then(change, change);
    this.#changes.set(id, own);
    try {
      return await own;
    } finally {
      if (this.#changes.get(id) === own) this.#changes.delete(id);
    }
  }

  /** Gives the folder back. */
  close(): void {
    this.#lock.close();
  }

  #path(id: string): string {
    return `${this.#folder}/${id}${ENDING}`;
  }
}

async function readFacts(folder: string, name: string, { weights }: MemoryOwner): Promise<MemoryFacts> {
  const path = `${folder}/${name}`, { metadata, sizeBytes } = await readMemoryHeader(path);
  if (metadata.weights !== weights) {
    throw new UsageError(
      `${path} is a memory of another model (weights ${metadata.weights}, not ${weights}): serve that one, or choose another --state`,
    );
  }
  const number = (key: string, fallback: number): number => {
    const value = Number(metadata[key] ?? fallback);
    if (Number.isSafeInteger(value) && value >= 0) return value;
    throw new CommandError(
      `${path} is damaged: its ${key} is ${JSON.stringify(metadata[key])}; move it elsewhere, or restore it`,
    );
  };
  return {
    id: name.slice(0, -ENDING.length),
    created: number("created", 0),
    revision: number("revision", 1),
    tokensRead: number("tokensRead", 0),
    sizeBytes,
  };
}

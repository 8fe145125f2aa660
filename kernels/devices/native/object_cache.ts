/**
 * Compiled objects, kept in a folder from process to process.
 *
 * An object is named by the hash of its own bytes, with an index beside it that lists the keys of its functions in
 * order. So an entry that is damaged, or half of another one, is noticed before it is opened. The folder of a compiler's
 * objects is named by all that its code depends on: versions, flags, instructions of the processor. So a cache that
 * several machines share gives none of them another's code.
 *
 * Files are written beside their place and moved there: any number of processes may use a cache at a time. When it is
 * too large, the objects that were not used for the longest time are removed.
 */
import {
  listFiles,
  listFolders,
  makeFolder,
  moveFile,
  PROCESS,
  readBytes,
  readText,
  removeFile,
  statFile,
  SYSTEM,
  touchFile,
  writeText,
} from "./host.ts";

const OBJECT = SYSTEM === "windows" ? ".dll" : SYSTEM === "darwin" ? ".dylib" : ".so", INDEX = ".index", PART = ".part";

/** Files begun by this process: caches of several devices may share a folder. */
let parts = 0;

/** Objects are noted as used at most this often, in milliseconds. */
const TOUCH_MS = 3_600_000;

/** Files that were never finished are removed after this long, in milliseconds. */
const ABANDONED_MS = 3_600_000;

/** The hash of a text or of bytes, in hexadecimal digits. */
export async function hashOf(content: string | Uint8Array<ArrayBuffer>): Promise<string> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What is known of an object. */
interface Known {
  /** The keys of its functions, in order. */
  readonly keys: readonly string[];
  /** When it was used last, in milliseconds since 1970. */
  usedAt: number;
}

/** The objects of one compiler for one kind of processor. */
export class ObjectCache {
  readonly #root: string;
  readonly #folder: string;
  readonly #limitBytes: number;
  /** By key of a function, the name of its object. */
  readonly #objects = new Map<string, string>();
  /** Objects whose index was read. */
  readonly #known = new Map<string, Known>();
  /** Bytes written since all files were looked at. */
  #written = Infinity;

  /**
   * @param root The folder of all caches, whose size is bounded as a whole.
   * @param identity The hash of what objects depend on beside their texts.
   */
  constructor(root: string, identity: string, limitBytes: number) {
    this.#root = root;
    this.#folder = `${root}/${identity}`;
    this.#limitBytes = limitBytes;
  }

  /** The names of the objects that have functions of these keys, of those that were compiled before. */
  find(keys: readonly string[]): ReadonlySet<string> {
    if (keys.some((key) => !this.#objects.has(key))) this.#readIndices();
    return new Set(keys.flatMap((key) => this.#objects.get(key) ?? []));
  }

  /** The keys of an object's functions, in its order. */
  keysOf(object: string): readonly string[] {
    return this.#known.get(object)!.keys;
  }

  /** Reads the indices that are new since the last time. */
  #readIndices(): void {
    for (const name of listFiles(this.#folder)) {
      const object = name.slice(0, -INDEX.length);
      if (!name.endsWith(INDEX) || this.#known.has(object)) continue;
      const path = this.#pathOf(object, INDEX), text = readText(path);
      if (text !== undefined) this.#note(object, text.trimEnd().split("\n"), statFile(path)?.usedAt ?? 0);
    }
  }

  #note(object: string, keys: readonly string[], usedAt: number): void {
    this.#known.set(object, { keys, usedAt });
    for (const key of keys) this.#objects.set(key, object);
  }

  /** The path of an object whose bytes are what they were; undefined, and forgotten, if they are not. */
  async verify(object: string): Promise<string | undefined> {
    const path = this.#pathOf(object, OBJECT), bytes = await readBytes(path);
    if (!bytes || await hashOf(bytes) !== object) {
      await this.drop(object);
      return undefined;
    }
    const known = this.#known.get(object)!;
    if (Date.now() - known.usedAt > TOUCH_MS) {
      known.usedAt = Date.now();
      await touchFile(this.#pathOf(object, INDEX));
    }
    return path;
  }

  #pathOf(object: string, ending: string): string {
    return `${this.#folder}/${object}${ending}`;
  }

  /** Removes an object that cannot be used. */
  async drop(object: string): Promise<void> {
    for (const [key, name] of this.#objects) if (name === object) this.#objects.delete(key);
    this.#known.delete(object);
    for (const ending of [INDEX, OBJECT]) await removeFile(this.#pathOf(object, ending));
  }

  /** A path to compile to. @throws {Error} if the folder cannot be made. */
  async newPart(): Promise<string> {
    await makeFolder(this.#folder);
    return `${this.#folder}/${PROCESS}-${Date.now().toString(36)}-${parts++}${PART}`;
  }

  /**
   * Takes a compiled object in, and makes room for it if necessary.
   * @returns Its path.
   * @throws {Error} if a file cannot be read or written.
   */
  async store(part: string, keys: readonly string[]): Promise<string> {
    const bytes = await readBytes(part);
    if (!bytes) throw new Error(`the compiler left no file ${part}`);
    const object = await hashOf(bytes), path = this.#pathOf(object, OBJECT);
    await moveFile(part, path);
    await writeText(this.#pathOf(object, INDEX), `${keys.join("\n")}\n`);
    this.#note(object, keys, Date.now());
    this.#written += bytes.length;
    // Looking at all files takes time: once, and again when much was added.
    if (this.#written > this.#limitBytes / 8) {
      this.#written = 0;
      await makeRoom(this.#root, this.#limitBytes, Date.now() - ABANDONED_MS);
    }
    return path;
  }
}

/** What belongs together: an object and its index. */
interface Pair {
  readonly paths: string[];
  sizeBytes: number;
  usedAt: number;
}

/**
 * Removes what was not used for the longest time until the rest takes three quarters of the limit, and what was begun
 * before `abandoned` and never finished. Files of other kinds are left alone.
 */
async function makeRoom(root: string, limitBytes: number, abandoned: number): Promise<void> {
  const pairs = new Map<string, Pair>();
  for (const folder of listFolders(root)) {
    for (const name of listFiles(`${root}/${folder}`)) {
      const path = `${root}/${folder}/${name}`, use = statFile(path);
      const ending = [OBJECT, INDEX, PART].find((ending) => name.endsWith(ending));
      if (!use || ending === undefined) continue;
      if (ending === PART) {
        if (use.usedAt < abandoned) await removeFile(path);
        continue;
      }
      const key = path.slice(0, -ending.length), pair = pairs.get(key) ?? { paths: [], sizeBytes: 0, usedAt: 0 };
      pairs.set(key, pair);
      // The index goes first: without it nobody looks for the object.
      if (ending === INDEX) pair.paths.unshift(path);
      else pair.paths.push(path);
      pair.sizeBytes += use.sizeBytes;
      pair.usedAt = Math.max(pair.usedAt, use.usedAt);
    }
  }
  let total = [...pairs.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (total <= limitBytes) return;
  for (const { paths, sizeBytes } of [...pairs.values()].sort((a, b) => a.usedAt - b.usedAt)) {
    if (total <= 0.75 * limitBytes) return;
    for (const path of paths) await removeFile(path);
    total -= sizeBytes;
  }
}

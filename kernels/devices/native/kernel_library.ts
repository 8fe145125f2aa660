/**
 * From the texts of functions to their addresses: found in the process, in the cache, or compiled.
 *
 * Functions know no addresses, so programs share them. Those that nobody has compiled are distributed over a few
 * objects, which compilers make at the same time; loads that come together are compiled together. An object is closed
 * when the last program that uses it is gone.
 */
import { CompileError, DeviceError } from "../../../core/errors.ts";
import type { CompileWatch } from "../../device.ts";
import { type OpenObject, openObject, removeFile } from "./host.ts";
import { hashOf, type ObjectCache } from "./object_cache.ts";
import { compileObject, firstLine, type Toolchain } from "./toolchain.ts";

/** How functions become objects. */
export interface LibraryOptions {
  readonly toolchain: Toolchain;
  readonly cache: ObjectCache;
  readonly flags: readonly string[];
  /** The text in front of all functions. */
  readonly prelude: string;
  /** What stands for the name of a function in its text, once. */
  readonly placeholder: string;
  /** Compilers that run at a time. */
  readonly processes: number;
}

/** Functions of one program. */
export interface LoadedFunctions {
  /** The address of each. */
  readonly addresses: BigUint64Array<ArrayBuffer>;
  /** Gives them up. Objects without a user are closed. */
  release(): void;
}

/** The functions that every object has: it writes the addresses of its kernels, and the beginnings of their keys. */
const OBJECT = { kernels: { parameters: ["buffer", "buffer"], result: "void" } } as const;

/** Characters below which a further process costs more than it saves, and above which an object is cut. */
const LEAST_TEXT = 12_000, MOST_TEXT = 500_000;

/** An object in the process, or on its way there. */
interface Shared {
  readonly keys: readonly string[];
  /** The addresses of its functions. */
  readonly ready: Promise<BigUint64Array>;
  object?: OpenObject<typeof OBJECT>;
  users: number;
}

/** A function that is to be found or compiled. */
interface Wanted {
  readonly key: string;
  readonly text: string;
}

/** The functions of a device. */
export class KernelLibrary {
  readonly #options: LibraryOptions;
  /** By key, the object that has the function. */
  readonly #shared = new Map<string, Shared>();
  #gathering: { readonly wanted: Map<string, Wanted>; readonly provided: Promise<void> } | undefined;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(options: LibraryOptions) {
    this.#options = options;
  }

  /** Objects that are open, or will be. */
  get objectCount(): number {
    return new Set(this.#shared.values()).size;
  }

  /**
   * Finds or compiles functions.
   * @param texts Their texts, all different.
   * @throws {CompileError} if the compiler refuses one; {DeviceError} if the cache cannot be written.
   */
  async load(texts: readonly string[], { progress, signal }: CompileWatch = {}): Promise<LoadedFunctions> {
    const keys = await Promise.all(texts.map(hashOf)), places = new Map(keys.map((key, i) => [key, i]));
    const wanted = keys.map((key, i): Wanted => ({ key, text: texts[i] }));
    for (;;) {
      const missing = wanted.filter(({ key }) => !this.#shared.has(key));
      if (missing.length === 0) break;
      await this.#gather(missing);
    }
    const used = [...new Set(keys.map((key) => this.#shared.get(key)!))];
    for (const shared of used) shared.users++;
    const release = (): void => used.splice(0).forEach((shared) => this.#giveUp(shared));
    const addresses = new BigUint64Array(keys.length);
    let done = 0;
    try {
      const all = Promise.all(used.map(async (shared) => {
        const found = await shared.ready;
        shared.keys.forEach((key, at) => {
          const place = places.get(key);
          if (place === undefined || this.#shared.get(key) !== shared) return;
          addresses[place] = found[at];
          done++;
        });
        if (!signal?.aborted) progress?.(done, keys.length);
      }));
      await (signal ? Promise.race([all, aborted(signal)]) : all);
    } catch (error) {
      release();
      throw error;
    }
    return { addresses, release };
  }

  #giveUp(shared: Shared): void {
    if (--shared.users !== 0) return;
    for (const key of shared.keys) if (this.#shared.get(key) === shared) this.#shared.delete(key);
    // What is on its way is closed when it is there.
    shared.ready.then(() => shared.object?.close(), () => {});
  }

  /** Closes all objects. Nothing may be loaded or run any more. */
  dispose(): void {
    for (const shared of new Set(this.#shared.values())) {
      shared.users = 1;
      this.#giveUp(shared);
    }
  }

  /** Provides functions together with those that are wanted in the same turn of the event loop. */
  #gather(missing: readonly Wanted[]): Promise<void> {
    if (!this.#gathering) {
      const wanted = new Map<string, Wanted>();
      const turn = new Promise((resolve) => setTimeout(resolve, 0));
      const provided = turn.then(() => {
        this.#gathering = undefined;
        return this.#provide([...wanted.values()].filter(({ key }) => !this.#shared.has(key)));
      });
      this.#gathering = { wanted, provided };
    }
    for (const each of missing) this.#gathering.wanted.set(each.key, each);
    return this.#gathering.provided;
  }

  /** Opens what is in the cache, and begins to compile the rest. */
  async #provide(wanted: readonly Wanted[]): Promise<void> {
    const objects = this.#options.cache.find(wanted.map(({ key }) => key));
    await Promise.all([...objects].map((object) => this.#openCached(object)));
    const missing = wanted.filter(({ key }) => !this.#shared.has(key));
    for (const batch of batches(missing, this.#options.processes)) this.#share(this.#compile(batch), batch);
  }

  async #openCached(name: string): Promise<void> {
    const { cache } = this.#options, keys = cache.keysOf(name), path = await cache.verify(name);
    if (path === undefined) return;
    try {
      const opened = open(path, keys);
      this.#share(Promise.resolve(opened), keys.map((key) => ({ key })));
    } catch {
      // Of another system, or with an index of another one.
      await cache.drop(name);
    }
  }

  #share(opening: Promise<Opened>, functions: readonly { readonly key: string }[]): void {
    const keys = functions.map(({ key }) => key);
    const shared: Shared = {
      keys,
      users: 0,
      ready: opening.then(({ object, addresses }) => {
        shared.object = object;
        return addresses;
      }),
    };
    for (const key of keys) if (!this.#shared.has(key)) this.#shared.set(key, shared);
    shared.ready.catch(() => {
      for (const key of keys) if (this.#shared.get(key) === shared) this.#shared.delete(key);
    });
  }

  async #compile(batch: readonly Wanted[]): Promise<Opened> {
    const { toolchain, cache, flags, processes } = this.#options, keys = batch.map(({ key }) => key);
    if (this.#running >= processes) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
    try {
      const to = await cacheStep(() => cache.newPart());
      const complaint = await compileObject(toolchain, { text: this.#textOf(batch), flags, to }).catch((error) => {
        throw new CompileError(`Cannot compile a program's kernels: ${error.message}`);
      });
      if (complaint !== undefined) {
        await removeFile(to);
        throw compileError(toolchain, complaint);
      }
      const path = await cacheStep(() => cache.store(to, keys));
      return open(path, keys);
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  #textOf(batch: readonly Wanted[]): string {
    const { prelude, placeholder } = this.#options;
    const functions = batch.map(({ text }, i) => `static ${text.replace(placeholder, `k${i}`)}`);
    const lines = batch.map(({ key }, i) =>
      `  addresses[${i}] = (unsigned long long)(__UINTPTR_TYPE__)k${i}; ids[${i}] = ${idOf(key)}ull;`
    );
    return [prelude, ...functions, EXPORTED, ...lines, "}", ""].join("\n");
  }
}

const EXPORTED = `#ifdef _WIN32
__declspec(dllexport)
#else
__attribute__((visibility("default")))
#endif
void kernels(unsigned long long *addresses, unsigned long long *ids) {`;

/** What an object knows of a key. */
function idOf(key: string): string {
  return `0x${key.slice(0, 16)}`;
}

interface Opened {
  readonly object: OpenObject<typeof OBJECT>;
  readonly addresses: BigUint64Array;
}

/** Opens an object. @throws {Error} if it is not one, or not that of these keys. */
function open(path: string, keys: readonly string[]): Opened {
  const object = openObject(path, OBJECT);
  const addresses = new BigUint64Array(keys.length), ids = new BigUint64Array(keys.length);
  object.symbols.kernels(addresses, ids);
  if (keys.every((key, i) => BigInt(idOf(key)) === ids[i])) return { object, addresses };
  object.close();
  throw new Error(`${path} has other functions than its index says`);
}

/** Fails with the reason of a signal once it is given. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** Distributes functions over objects, about as many characters in each. */
function batches(wanted: readonly Wanted[], processes: number): Wanted[][] {
  const total = wanted.reduce((sum, { text }) => sum + text.length, 0);
  // A round of as many as run at a time, or several.
  const rounds = Math.ceil(total / MOST_TEXT / processes),
    count = Math.min(rounds * processes, Math.ceil(total / LEAST_TEXT));
  const made = Array.from({ length: Math.min(count, wanted.length) }, () => ({ size: 0, batch: [] as Wanted[] }));
  for (const each of [...wanted].sort((a, b) => b.text.length - a.text.length || (a.key < b.key ? -1 : 1))) {
    const least = made.reduce((a, b) => (b.size < a.size ? b : a));
    least.batch.push(each);
    least.size += each.text.length;
  }
  return made.map(({ batch }) => batch);
}

/** Does something with the cache's files. */
async function cacheStep<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw new DeviceError(
      `Cannot keep compiled kernels in the cache: ${(error as Error).message}; ` +
        `make room or name another folder with nativeCacheDirectory, or use the device "cpu"`,
      "validation",
    );
  }
}

function compileError({ command }: Toolchain, complaint: string): Error {
  if (/no space left/i.test(complaint)) {
    return new DeviceError(
      `Cannot compile a program's kernels: ${firstLine(complaint)}; make room, or use the device "cpu"`,
      "validation",
    );
  }
  return new CompileError(
    `${command.join(" ")} refuses a program's kernels: ${complaint.split("\n").slice(0, 8).join("\n")}`,
  );
}

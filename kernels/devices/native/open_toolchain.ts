/** From compilers' names to one that works, with its cache and the compiled runtime. */
import { DeviceError } from "../../../core/errors.ts";
import { HAS_HOST, isGranted, openObject, removeFile, requestPermission } from "./host.ts";
import { hashOf, ObjectCache } from "./object_cache.ts";
import { RUNTIME_SOURCE } from "./runtime_source.ts";
import {
  askCompiler,
  compileObject,
  compilerCommands,
  firstLine,
  noCompilerError,
  programOf,
  type Toolchain,
} from "./toolchain.ts";

/** Where compiled objects are kept unless another folder is named, relative to the working directory. */
export const CACHE_FOLDER = "runs/.native";

/** What is asked for. */
export interface ToolchainOptions {
  /** The compiler's command; else the first that works. */
  readonly compiler?: string;
  readonly folder: string;
  readonly limitBytes: number;
  /** All that the objects of a compiler depend on beside its macros and its flags. */
  contentOf(toolchain: Toolchain): string;
}

/** What works. */
export interface OpenToolchain {
  readonly toolchain: Toolchain;
  readonly cache: ObjectCache;
  /** The path of the compiled runtime. */
  readonly runtime: string;
}

/** Flags of the runtime, which is compiled once. */
const RUNTIME_FLAGS: readonly string[] = ["-std=gnu11", "-O2"];

/** Why the device cannot be opened without a prompt, in one line; undefined if it may be tried. */
export function whyNotPermitted(folder: string, compiler?: string): string | undefined {
  if (!HAS_HOST) return "this runtime starts no compilers and opens no shared objects";
  const commands = candidates(compiler), missing: string[] = [];
  if (!commands.some(isPermitted)) missing.push(`--allow-run=${programOf(commands[0])}`);
  for (const name of ["read", "write", "ffi"] as const) {
    if (!isGranted(name, folder)) missing.push(`--allow-${name}=${folder}`);
  }
  return missing.length > 0 ? `it takes ${missing.join(" ")}` : undefined;
}

function candidates(compiler: string | undefined): readonly string[] {
  return compiler === undefined ? compilerCommands() : [compiler];
}

function isPermitted(command: string): boolean {
  return isGranted("run", programOf(command));
}

/**
 * Finds a compiler that works, after asking for permissions that are missing.
 * @throws {DeviceError} with reason `unavailable`, which says what to do.
 */
export async function openToolchain(options: ToolchainOptions): Promise<OpenToolchain> {
  const { folder, compiler } = options;
  requestPermissions(folder, compiler);
  const all = candidates(compiler), permitted = all.filter(isPermitted), reasons: string[] = [];
  for (const command of permitted) {
    try {
      return await tryCompiler(command, options);
    } catch (error) {
      if (error instanceof DeviceError) throw error;
      reasons.push((error as Error).message);
    }
  }
  throw noCompilerError(reasons);
}

function requestPermissions(folder: string, compiler: string | undefined): void {
  const [first] = candidates(compiler);
  if (HAS_HOST && whyNotPermitted(folder, compiler) !== undefined) {
    if (!candidates(compiler).some(isPermitted)) requestPermission("run", programOf(first));
    for (const name of ["read", "write", "ffi"] as const) requestPermission(name, folder);
  }
  const why = whyNotPermitted(folder, compiler);
  if (why === undefined) return;
  const remedy = HAS_HOST ? `run with ${why.replace("it takes ", "")}, or use` : "use";
  const reason = HAS_HOST ? "it starts a C compiler and opens what that has made, which is not permitted" : why;
  throw new DeviceError(
    `Cannot open the device "native": ${reason}; ${remedy} the device "cpu", which needs neither`,
    "unavailable",
  );
}

/** @throws {Error} with one line, if the compiler is not one; {DeviceError} if no compiler could do better. */
async function tryCompiler(command: string, options: ToolchainOptions): Promise<OpenToolchain> {
  const { folder, limitBytes, contentOf } = options;
  const toolchain = await askCompiler(command);
  const parts = [toolchain.macros, toolchain.command.join(" "), toolchain.machine.join(" "), contentOf(toolchain)];
  const cache = new ObjectCache(folder, await hashOf(parts.join("\0")), limitBytes);
  const runtime = await findRuntime(cache) ?? await compileRuntime(toolchain, cache, folder);
  return { toolchain, cache, runtime };
}

function runtimeKey(): Promise<string> {
  return hashOf([...RUNTIME_FLAGS, RUNTIME_SOURCE].join("\0"));
}

/** The compiled runtime of the cache, if it can be opened. */
async function findRuntime(cache: ObjectCache): Promise<string | undefined> {
  for (const object of await cache.find([await runtimeKey()])) {
    const path = await cache.verify(object);
    if (path === undefined) continue;
    try {
      openObject(path, {}).close();
      return path;
    } catch {
      await cache.drop(object);
    }
  }
  return undefined;
}

async function compileRuntime(toolchain: Toolchain, cache: ObjectCache, folder: string): Promise<string> {
  const to = await inFolder(folder, () => cache.newPart());
  const complaint = await compileObject(toolchain, { text: RUNTIME_SOURCE, flags: RUNTIME_FLAGS, to });
  if (complaint !== undefined) {
    await removeFile(to);
    throw new Error(`${toolchain.command.join(" ")}: ${firstLine(complaint)}`);
  }
  const key = await runtimeKey(), path = await inFolder(folder, () => cache.store(to, [key]));
  await inFolder(folder, () => Promise.resolve(openObject(path, {}).close()));
  return path;
}

/** Does something with files of the cache, which no other compiler could do better. */
async function inFolder<T>(folder: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw new DeviceError(
      `Cannot open the device "native": the folder ${folder}, where compiled kernels are kept, cannot be used ` +
        `(${
          firstLine((error as Error).message)
        }); name another one with nativeCacheDirectory (--native-cache), or use ` +
        `the device "cpu"`,
      "unavailable",
    );
  }
}

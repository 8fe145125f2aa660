/** From compilers' names to one that works, with its cache and the compiled runtime. */
import { DeviceError } from "../../../core/errors.ts";
import { HAS_HOST, isGranted, removeFile, requestPermission } from "./host.ts";
import { hashOf, ObjectCache } from "./object_cache.ts";
import { checkRuntime } from "./runtime.ts";
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
  const { run, paths } = missingPermissions(folder, compiler), reasons: string[] = [];
  // A command that is not there counts as one that may not be run.
  if (run) reasons.push(`no C compiler was found, or none may be run (--allow-run=${run})`);
  if (paths.length > 0) reasons.push(`it takes ${flagsOf(paths, folder)}`);
  return reasons.length > 0 ? reasons.join("; ") : undefined;
}

const PATHS = ["read", "write", "ffi"] as const;

/** What is not permitted: the program to run, if none may be, and what may not be done in the folder. */
function missingPermissions(folder: string, compiler: string | undefined) {
  const commands = candidates(compiler);
  return {
    run: commands.some(isPermitted) ? undefined : programOf(commands[0]),
    paths: PATHS.filter((name) => !isGranted(name, folder)),
  };
}

function flagsOf(paths: readonly string[], folder: string): string {
  return paths.map((name) => `--allow-${name}=${folder}`).join(" ");
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
  if (!HAS_HOST) {
    throw new DeviceError(
      `Cannot open the device "native": ${whyNotPermitted(folder)}; use the device "cpu"`,
      "unavailable",
    );
  }
  const { run, paths } = missingPermissions(folder, compiler);
  if (run) requestPermission("run", run);
  for (const name of paths) requestPermission(name, folder);
  const refused = missingPermissions(folder, compiler);
  if (!refused.run && refused.paths.length === 0) return;
  const flags = [...(refused.run ? [`--allow-run=${refused.run}`] : []), flagsOf(refused.paths, folder)].filter(
    Boolean,
  );
  throw new DeviceError(
    `Cannot open the device "native": it starts a C compiler and opens what that has made, which is not permitted; ` +
      `run with ${flags.join(" ")}, or use the device "cpu", which needs neither`,
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
  for (const object of cache.find([await runtimeKey()])) {
    const path = await cache.verify(object);
    if (path === undefined) continue;
    try {
      checkRuntime(path);
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
  await inFolder(folder, () => Promise.resolve(checkRuntime(path)));
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

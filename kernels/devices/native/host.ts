/** What the device needs of the machine: a compiler's process, files, shared objects. The one file here that names Deno. */

/** What a command printed. */
export interface CommandResult {
  readonly success: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** What is known of a file. */
export interface FileUse {
  readonly sizeBytes: number;
  /** Milliseconds since 1970. */
  readonly usedAt: number;
}

/** What an argument of a C function is: memory of the host, memory of C, a number. */
export type CType = "buffer" | "pointer" | "i32" | "f64" | "void";

/** Functions of an object by name. */
export type CFunctions = Readonly<Record<string, { readonly parameters: readonly CType[]; readonly result: CType }>>;

/** A pointer of C. It cannot be read here, which is why no permission beyond the objects' folder is needed. */
export type Pointer = { readonly pointer: unique symbol } | null;

type HostType<T extends CType> = T extends "buffer" ? ArrayBufferView | null
  : T extends "pointer" ? Pointer
  : T extends "i32" | "f64" ? number
  : void;

type HostTypes<P extends readonly CType[]> = { -readonly [At in keyof P]: HostType<P[At]> };

/** An object that was opened. */
export interface OpenObject<F extends CFunctions> {
  readonly symbols: {
    readonly [K in keyof F]: (...args: HostTypes<F[K]["parameters"]>) => HostType<F[K]["result"]>;
  };
  close(): void;
}

interface Child {
  readonly stdin: WritableStream<Uint8Array>;
  output(): Promise<{ readonly success: boolean; readonly stdout: Uint8Array; readonly stderr: Uint8Array }>;
}

interface FileInfo {
  readonly size: number;
  readonly mtime: Date | null;
}

interface FolderEntry {
  readonly name: string;
  readonly isFile: boolean;
  readonly isDirectory: boolean;
}

interface DenoLike {
  readonly build: { readonly os: string };
  readonly pid: number;
  readonly env: { get(name: string): string | undefined };
  readonly permissions: {
    querySync(descriptor: Readonly<Record<string, string>>): { readonly state: string };
    requestSync(descriptor: Readonly<Record<string, string>>): { readonly state: string };
  };
  readonly Command: new (command: string, options: unknown) => { spawn(): Child };
  dlopen(path: string, symbols: unknown): unknown;
  mkdir(path: string, options: { recursive: boolean }): Promise<void>;
  readFile(path: string): Promise<Uint8Array<ArrayBuffer>>;
  readTextFileSync(path: string): string;
  writeTextFile(path: string, text: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string, options?: { recursive: boolean }): Promise<void>;
  utime(path: string, accessed: Date, modified: Date): Promise<void>;
  statSync(path: string): FileInfo;
  readDirSync(path: string): Iterable<FolderEntry>;
}

/** What `Deno` has, where this runs in Deno; processes and objects are what other runtimes lack. */
const deno = (globalThis as unknown as { Deno?: DenoLike }).Deno;
const here = deno?.Command && typeof deno.dlopen === "function" ? deno : undefined;

/** Whether this runtime can start processes and open objects. */
export const HAS_HOST: boolean = here !== undefined;

/** The system: `linux`, `darwin`, `windows` or another name. */
export const SYSTEM: string = here?.build.os ?? "unknown";

/** A part of names of files that no other process uses. */
export const PROCESS: string = `${here?.pid ?? 0}`;

const LOADER_VARIABLES = SYSTEM === "darwin"
  ? ["DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES"]
  : SYSTEM === "windows"
  ? []
  : ["LD_LIBRARY_PATH", "LD_PRELOAD", "LD_RUN_PATH"];

/** What Deno asks permission for: to run a program, to use a path, to read a variable. */
export type Permission = "run" | "read" | "write" | "ffi" | "env";

/** Whether something was permitted already. Never prompts. */
export function isGranted(name: Permission, of: string): boolean {
  return here?.permissions.querySync(descriptor(name, of)).state === "granted";
}

/** Asks for a permission where somebody can answer, unless it was granted. */
export function requestPermission(name: Permission, of: string): void {
  here?.permissions.requestSync(descriptor(name, of));
}

function descriptor(name: Permission, of: string): Readonly<Record<string, string>> {
  return { name, [name === "run" ? "command" : name === "env" ? "variable" : "path"]: of };
}

/** An environment variable; undefined where it is not set, or may not be read. */
export function environment(variable: string): string | undefined {
  return isGranted("env", variable) ? here?.env.get(variable) : undefined;
}

/**
 * Runs a command with a text as its input. What it prints is collected only where `prints` says that it is wanted: a
 * pipe's buffers are large, and a process that compiles for hours would hold hundreds of them until they are collected.
 * @throws {Error} named `NotFound` without the command, `NotCapable` without the permission to run it.
 */
export async function runCommand(
  [command, ...args]: readonly string[],
  input: string,
  { signal, prints = false }: { readonly signal?: AbortSignal; readonly prints?: boolean } = {},
): Promise<CommandResult> {
  const pipes = { stdin: "piped", stdout: prints ? "piped" : "null", stderr: "piped" };
  const child = new here!.Command(command, { args, signal, env: loaderVariables(), ...pipes }).spawn();
  const writer = child.stdin.getWriter();
  // A command that ends early reads no more.
  const written = writer.write(new TextEncoder().encode(input)).then(() => writer.close()).catch(() => {});
  const [result] = await Promise.all([child.output(), written]);
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { success: result.success, stdout: prints ? text(result.stdout) : "", stderr: text(result.stderr) };
}

/**
 * What a child's environment has in place of this one's. Deno passes variables of the loader on only where it may run
 * anything, and refuses to start a child otherwise; where they are empty, it starts, and loaders take that for unset.
 * Environment modules of clusters set them.
 */
export function loaderVariables(): Readonly<Record<string, string>> {
  if (here!.permissions.querySync({ name: "run" }).state === "granted") return {};
  return Object.fromEntries(LOADER_VARIABLES.map((name) => [name, ""]));
}

/** Opens an object. The path has a slash, else it would be looked for among the system's. */
export function openObject<F extends CFunctions>(path: string, functions: F): OpenObject<F> {
  return here!.dlopen(path, functions) as OpenObject<F>;
}

/** Makes a folder and those around it. */
export async function makeFolder(path: string): Promise<void> {
  await here!.mkdir(path, { recursive: true });
}

/** The bytes of a file; undefined if it cannot be read. */
export async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    return await here!.readFile(path);
  } catch {
    return undefined;
  }
}

/** The text of a small file; undefined if it cannot be read. */
export function readText(path: string): string | undefined {
  try {
    return here!.readTextFileSync(path);
  } catch {
    return undefined;
  }
}

/** Files that {@link writeText} has begun, so that each is another one. */
let begun = 0;

/** Writes a file beside its place and moves it there, so that nobody sees a part of it. */
export async function writeText(path: string, text: string): Promise<void> {
  const part = `${path}.${PROCESS}-${begun++}.part`;
  await here!.writeTextFile(part, text);
  await here!.rename(part, path);
}

/** Moves a file to a place, over what is there. */
export async function moveFile(from: string, to: string): Promise<void> {
  await here!.rename(from, to);
}

/** Removes a file or a folder, if it is there and can be removed. */
export async function removeFile(path: string): Promise<void> {
  await here!.remove(path, { recursive: true }).catch(() => {});
}

/** Notes that a file was used. */
export async function touchFile(path: string): Promise<void> {
  const now = new Date();
  await here!.utime(path, now, now).catch(() => {});
}

/** The names of the folders in a folder; none if it cannot be read. */
export function listFolders(path: string): string[] {
  return list(path, ({ isDirectory }) => isDirectory);
}

/** The names of the files in a folder; none if it cannot be read. */
export function listFiles(path: string): string[] {
  return list(path, ({ isFile }) => isFile);
}

// Folders and small files are read at once: a promise for each has Deno start threads by the dozen.
function list(path: string, isWanted: (entry: FolderEntry) => boolean): string[] {
  try {
    return Array.from(here!.readDirSync(path)).filter(isWanted).map(({ name }) => name).sort();
  } catch {
    // It is not there yet.
    return [];
  }
}

/** Size of a file and when it was used; undefined if it is not there. */
export function statFile(path: string): FileUse | undefined {
  try {
    const { size, mtime } = here!.statSync(path);
    return { sizeBytes: size, usedAt: mtime?.getTime() ?? 0 };
  } catch {
    return undefined;
  }
}

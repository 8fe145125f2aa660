/**
 * The only module that knows the differences between Deno, Node, Bun and browsers.
 *
 * In Deno, awaiting `mapAsync` or `onSubmittedWorkDone` takes 11-12 ms regardless of the work, because the promise
 * waits for a timer; but the calls themselves already block until the queue is done. A fence in Deno is therefore the
 * call without await, after which a mapped range can be read at once. Browsers never block, and must await.
 */
import { DeviceError } from "../../../core/errors.ts";

interface DenoLike {
  readonly permissions: { querySync(descriptor: { name: "env"; variable: string }): { state: string } };
  readonly env: { set(name: string, value: string): void };
}

const deno = (globalThis as { Deno?: DenoLike }).Deno;

/** Whether calls on the queue block until it is done, as in Deno. */
export const BLOCKING: boolean = deno !== undefined;

/** The machine's WebGPU; undefined where there is none. */
export function webgpu(): GPU | undefined {
  return (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
}

/** The environment variables that set the directory of a driver's shader cache: Mesa's and NVIDIA's. */
const CACHE_VARIABLES = ["MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH"] as const;

/**
 * Sets environment variables that drivers read, before the first adapter of the process is requested.
 *
 * Silences Mesa's device-select layer, which writes to stderr without a display. This needs permission to set
 * NODEVICE_SELECT and is skipped without it, since a prompt would block programs.
 * @param shaderCacheDirectory Directory in which drivers cache compiled shaders.
 * @throws {DeviceError} if a directory is given and the environment may not be set.
 */
export function prepareEnvironment(shaderCacheDirectory?: string): void {
  const maySet = (variable: string) => deno?.permissions.querySync({ name: "env", variable }).state === "granted";
  if (maySet("NODEVICE_SELECT")) deno!.env.set("NODEVICE_SELECT", "1");
  if (shaderCacheDirectory === undefined) return;
  if (!CACHE_VARIABLES.every(maySet)) {
    const remedy = deno
      ? `run with --allow-env=${CACHE_VARIABLES.join(",")}`
      : placeOf().runtime === "browser"
      ? "browsers have a cache of their own: leave the directory out"
      : `leave the directory out, and set ${CACHE_VARIABLES.join(" and ")} before the process starts`;
    throw new DeviceError(
      `Cannot keep compiled shaders in ${shaderCacheDirectory}: the environment may not be set; ${remedy}`,
      "validation",
    );
  }
  for (const variable of CACHE_VARIABLES) deno!.env.set(variable, shaderCacheDirectory);
}

/** Waits until everything submitted to the queue is done. */
export async function fence(queue: GPUQueue): Promise<void> {
  const done = queue.onSubmittedWorkDone();
  if (BLOCKING) done.catch(() => {});
  else await done;
}

/** A range of a buffer. */
export interface ByteRange {
  readonly offset: number;
  readonly sizeBytes: number;
}

/**
 * Copies ranges of a staging buffer to the host once all submitted work is done.
 * @param staging A buffer with usage MAP_READ that has been mapped before (created with `mappedAtCreation`): otherwise
 * Deno crashes.
 */
export async function readStaging(staging: GPUBuffer, ranges: readonly ByteRange[]): Promise<ArrayBuffer[]> {
  const mapped = staging.mapAsync(GPUMapMode.READ);
  if (BLOCKING) mapped.catch(() => {});
  else await mapped;
  const whole = staging.getMappedRange();
  const copies = ranges.map(({ offset, sizeBytes }) => whole.slice(offset, offset + sizeBytes));
  staging.unmap();
  return copies;
}

/** The runtime. */
export type Runtime = "deno" | "node" | "bun" | "browser";

/** The environment in which a WebGPU device is requested. */
export interface Place {
  /** The runtime. */
  readonly runtime: Runtime;
  /** `linux`, `darwin`, `windows` or another name; in browsers unknown. */
  readonly os?: string;
  /** Whether `navigator.gpu` exists but finds no adapter; otherwise there is no WebGPU at all. */
  readonly hasApi: boolean;
}

interface Globals {
  readonly Deno?: { readonly build?: { readonly os: string } };
  readonly Bun?: unknown;
  readonly process?: { readonly platform?: string; readonly versions?: { readonly node?: string } };
  readonly navigator?: { readonly gpu?: unknown };
}

/** Detects the environment. Deno and Bun also define `process`, so they are tested first. */
export function placeOf(globals: Globals = globalThis as Globals): Place {
  const { Deno: deno, Bun: bun, process, navigator } = globals, hasApi = navigator?.gpu !== undefined;
  if (deno) return { runtime: "deno", os: deno.build?.os, hasApi };
  const os = process?.platform === "win32" ? "windows" : process?.platform;
  if (bun) return { runtime: "bun", os, hasApi };
  return process?.versions?.node ? { runtime: "node", os, hasApi } : { runtime: "browser", hasApi };
}

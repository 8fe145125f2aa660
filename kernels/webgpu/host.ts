/**
 * The one place that knows what differs between Deno and browsers.
 *
 * In Deno, awaiting `mapAsync` or `onSubmittedWorkDone` costs 11-12 ms whatever the work, because the promise waits for a timer; but the calls
 * themselves already block until the queue is done. So a fence there is the unawaited call, and a mapped range can be read at once. Browsers never
 * block, and must await.
 */

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

/**
 * Silences Mesa's device-select layer, which writes to stderr when there is no display. Needs the permission to set NODEVICE_SELECT
 * and does nothing without it: asking would stop programs with a prompt.
 */
export function prepareEnvironment(): void {
  const variable = "NODEVICE_SELECT";
  if (deno?.permissions.querySync({ name: "env", variable }).state === "granted") deno.env.set(variable, "1");
}

/** Waits until everything submitted to the queue is done. */
export async function fence(queue: GPUQueue): Promise<void> {
  const done = queue.onSubmittedWorkDone();
  if (BLOCKING) done.catch(() => {});
  else await done;
}

/** A part of a buffer. */
export interface ByteRange {
  readonly offset: number;
  readonly sizeBytes: number;
}

/**
 * Copies parts of a staging buffer to the host, once everything submitted is done.
 * @param staging A buffer with usage MAP_READ that has been mapped before (created with `mappedAtCreation`): Deno's process dies otherwise.
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

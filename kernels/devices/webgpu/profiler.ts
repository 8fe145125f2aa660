/** Times of single dispatches: by timestamp queries, or by waiting for each where the adapter has none. */
import type { GpuContext } from "./context.ts";

/** Dispatches that one query set measures; WebGPU allows 4096 queries. */
const TIMED_DISPATCHES = 2048;

/** Dispatches to be timed. */
export interface TimedDispatches {
  /** Records a dispatch in a pass with the given timestamps. */
  readonly encode: (encoder: GPUCommandEncoder, i: number, timestampWrites?: GPUComputePassTimestampWrites) => void;
  /** Waits until everything submitted to the queue is done. */
  readonly fence: (queue: GPUQueue) => Promise<void>;
  /** Takes the nanoseconds of a dispatch. */
  readonly measured: (i: number, time: number) => void;
}

/** Runs `count` dispatches, each timed. */
export async function timeDispatches(context: GpuContext, count: number, dispatches: TimedDispatches): Promise<void> {
  if (!context.gpu.features.has("timestamp-query")) return await timeFenced(context, count, dispatches);
  for (let from = 0; from < count; from += TIMED_DISPATCHES) {
    await timeQueried(context, { from, to: Math.min(from + TIMED_DISPATCHES, count) }, dispatches);
  }
}

async function timeQueried(
  context: GpuContext,
  { from, to }: { readonly from: number; readonly to: number },
  { encode, measured }: TimedDispatches,
): Promise<void> {
  const { gpu } = context, count = to - from;
  const querySet = gpu.createQuerySet({ type: "timestamp", count: 2 * count });
  const sizeBytes = 16 * count;
  const resolved = gpu.createBuffer({ size: sizeBytes, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
  try {
    const encoder = gpu.createCommandEncoder();
    for (let i = 0; i < count; i++) {
      encode(encoder, from + i, { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 });
    }
    encoder.resolveQuerySet(querySet, 0, 2 * count, resolved, 0);
    context.submit(encoder.finish());
    const stamps = new BigUint64Array(await context.read(resolved, sizeBytes));
    for (let i = 0; i < count; i++) measured(from + i, Number(stamps[2 * i + 1] - stamps[2 * i]));
  } finally {
    querySet.destroy();
    resolved.destroy();
  }
}

async function timeFenced(
  context: GpuContext,
  count: number,
  { encode, fence, measured }: TimedDispatches,
): Promise<void> {
  const { gpu } = context;
  await fence(gpu.queue);
  for (let i = 0; i < count; i++) {
    const encoder = gpu.createCommandEncoder();
    encode(encoder, i);
    const start = performance.now();
    context.submit(encoder.finish());
    await fence(gpu.queue);
    measured(i, (performance.now() - start) * 1e6);
  }
}

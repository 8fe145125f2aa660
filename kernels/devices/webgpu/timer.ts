/** Times of single dispatches by timestamp queries. */
import type { GpuContext } from "./context.ts";

/** Dispatches that one query set measures; WebGPU allows 4096 queries. */
export const TIMED_DISPATCHES = 2048;

/** Records one pass. */
export type TimedEncode = (
  encoder: GPUCommandEncoder,
  timestampWrites: GPUComputePassTimestampWrites,
  i: number,
) => void;

/**
 * The nanoseconds that each of `count` passes takes.
 * @param encode Records pass `i`, with the given timestamps.
 */
export async function nanosecondsOf(context: GpuContext, count: number, encode: TimedEncode): Promise<number[]> {
  const { gpu } = context;
  const querySet = gpu.createQuerySet({ type: "timestamp", count: 2 * count });
  const sizeBytes = 16 * count;
  const resolved = gpu.createBuffer({ size: sizeBytes, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
  try {
    const encoder = gpu.createCommandEncoder();
    for (let i = 0; i < count; i++) {
      encode(encoder, { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 }, i);
    }
    encoder.resolveQuerySet(querySet, 0, 2 * count, resolved, 0);
    context.submit(encoder.finish());
    const stamps = new BigUint64Array(await context.read(resolved, sizeBytes));
    return Array.from({ length: count }, (_, i) => Number(stamps[2 * i + 1] - stamps[2 * i]));
  } finally {
    querySet.destroy();
    resolved.destroy();
  }
}

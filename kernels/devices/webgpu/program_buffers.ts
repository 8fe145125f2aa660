/** The buffers that belong to a program: its arena, and its loop indices. */
import type { Plan } from "../../plan.ts";
import { MAX_LOOP_DEPTH } from "./commands.ts";
import type { GpuContext } from "./context.ts";

/** The arena of a plan, split where it exceeds the maximum buffer size. */
export function makeArena(context: GpuContext, { arenaBytes, bufferBytes }: Plan): GPUBuffer[] {
  const buffers: GPUBuffer[] = [];
  for (let start = 0; start < arenaBytes; start += bufferBytes) {
    const size = Math.min(bufferBytes, arenaBytes - start);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    buffers.push(context.createBuffer(size, usage, "a program's intermediate values"));
  }
  return buffers;
}

/** Loop indices of every tuple, followed by the bits of NaN and infinity, which WGSL cannot express as literals. */
export function makeLoopBuffer(context: GpuContext, tuples: Uint32Array, strideBytes: number): GPUBuffer {
  const stride = strideBytes / 4;
  const count = tuples.length / MAX_LOOP_DEPTH;
  const words = new Uint32Array(count * stride);
  for (let i = 0; i < count; i++) {
    words.set(tuples.subarray(i * MAX_LOOP_DEPTH, (i + 1) * MAX_LOOP_DEPTH), i * stride);
    words.set([0x7fc00000, 0x7f800000, 0, 0], i * stride + MAX_LOOP_DEPTH);
  }
  const buffer = context.createBuffer(
    words.byteLength,
    GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    "loop indices",
  );
  context.write(buffer, words);
  return buffer;
}

/** A job as a peer's process does it, and what such processes share. */
import { sizeOfShape } from "../../../core/shape.ts";
import { randn } from "../../golden_layers.ts";
import type { JobName } from "../contestant.ts";
import { peakRssBytes, type Served } from "./protocol.ts";

/** A job whose data are ready. */
export interface Task {
  /** Runs once, to the very end. */
  run(): Promise<void>;
  /** The number that all contestants agree on, from the results of the latest run. */
  check(): Promise<number>;
  /** Frees the results of the latest run. */
  release(): void;
}

/** A peer in its process. */
export interface Peer {
  readonly description: string;
  /** The jobs it does, each made when it is asked for. */
  readonly tasks: Readonly<Partial<Record<JobName, () => Task>>>;
  /** What a reader should know of it; the same for all jobs. */
  readonly note?: string;
  /** The largest sum of the sizes of its GPU buffers so far. */
  readonly deviceBytes?: () => number;
}

/** What the process of a peer serves. */
export function servedBy({ description, tasks, note, deviceBytes }: Peer): Served {
  let task: Task | undefined;
  const timed = async (): Promise<number> => {
    if (task === undefined) throw new Error("nothing to run: prepare a job first");
    const start = performance.now();
    await task.run();
    return performance.now() - start;
  };
  return {
    description,
    knows: (job) => tasks[job] !== undefined,
    prepare: async (job) => {
      task = tasks[job]?.();
      const firstMs = await timed();
      const check = await task?.check();
      task?.release();
      return { firstMs, check, note };
    },
    run: async () => {
      const ms = await timed();
      task?.release();
      return ms;
    },
    memory: () => Promise.resolve({ rssBytes: peakRssBytes(), deviceBytes: deviceBytes?.() }),
  };
}

/** An array of a job. */
export interface Data {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Numbers that look normal; see `randn`. */
export function random(shape: readonly number[], scale: number, seed: number): Data {
  return { shape, data: randn(sizeOfShape(shape), scale, seed) };
}

/** Zeros. */
export function zeros(shape: readonly number[]): Data {
  return { shape, data: new Float32Array(sizeOfShape(shape)) };
}

/** The check of a job that trains nothing: the sum of the absolute values of all its results. */
export async function sumOfAbsoluteValues(results: readonly Promise<ArrayLike<number>>[]): Promise<number> {
  let sum = 0;
  for (const values of await Promise.all(results)) {
    for (let i = 0; i < values.length; i++) sum += Math.abs(values[i]);
  }
  return sum;
}

/**
 * Counts GPU buffers from here on, whoever makes them.
 * @returns A function that gives the largest sum of their sizes so far, in bytes; a buffer counts until `destroy`.
 */
export function countBufferBytes(): () => number {
  const { createBuffer } = GPUDevice.prototype, { destroy } = GPUBuffer.prototype;
  const sizes = new WeakMap<GPUBuffer, number>();
  let live = 0, peak = 0;
  GPUDevice.prototype.createBuffer = function (descriptor: GPUBufferDescriptor): GPUBuffer {
    const buffer = createBuffer.call(this, descriptor);
    sizes.set(buffer, buffer.size);
    live += buffer.size;
    peak = Math.max(peak, live);
    return buffer;
  };
  GPUBuffer.prototype.destroy = function (): undefined {
    live -= sizes.get(this) ?? 0;
    sizes.delete(this);
    destroy.call(this);
  };
  return () => peak;
}

/**
 * Waits for all submitted work. Deno blocks inside the call until the queue is done, and then takes 11 ms to say so:
 * nobody is charged with these.
 */
export function finish(queue: GPUQueue): void {
  queue.onSubmittedWorkDone().catch(() => {});
}

/** A GPU in words. */
export function adapterName({ adapterInfo: { description, device, vendor } }: GPUDevice): string {
  return description || device || vendor || "an unnamed GPU";
}

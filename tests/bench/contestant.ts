/**
 * What a benchmark compares: contestants, each of which can do some of the same jobs.
 *
 * A contestant prepares a job once (compile, upload, check) and then runs it in short turns, one awaited run after the
 * other, so that the turns of all contestants can be interleaved: whatever else the machine does then hits all of them
 * alike.
 */

/** What computes. */
export type Processor = "cpu" | "webgpu";

/** The jobs that all contestants know by name. Sizes and data are those of each job's description in `jobs.ts`. */
export type JobName =
  | "matmul 256"
  | "matmul 512"
  | "matmul 1024"
  | "matmul 256 x 64^3"
  | "gelu(xw + b) + x, 4M"
  | "softmax 4096 x 256"
  | "layer norm 4096 x 256, forward + backward"
  | "MLP 256-1024-256, batch 512, Adam"
  | "causal attention B4 T256 D256 H4, forward + backward"
  | "chunk layer, chunk 64, Adam"
  | "chunk layer, chunk 16, Adam"
  | "per-token layer, b 64, Adam"
  | "per-token layer, b 16, Adam"
  | "retnet layer, T 2048, Adam"
  | "gla layer, T 2048, Adam"
  | "mamba2 layer, T 2048, Adam"
  | "deltaNet layer, T 2048, Adam"
  | "gatedDeltaNet layer, T 2048, Adam"
  | "mamba layer, T 2048, Adam";

/** What preparing a job showed. */
export interface Prepared {
  /** Milliseconds of the first run: tracing, compiling and running, with the library loaded and its device open. */
  readonly firstMs: number;
  /**
   * A number that all contestants must agree on to 1e-3, from the first run: the loss of a training job, the sum of the
   * absolute values of the result for any other. Undefined where a contestant computes something else by design; `note`
   * then says what.
   */
  readonly check?: number;
  /** What a reader should know of this contestant's way to do the job. */
  readonly note?: string;
}

/** How long a run took. */
export interface RunTime {
  /** Milliseconds. */
  readonly ms: number;
  /**
   * Milliseconds that its process computed meanwhile, all threads together: what a busy machine does beside hardly shows
   * in them.
   */
  readonly cpuMs: number;
}

/** A library on a kind of device. */
export interface Contestant {
  /** Such as `mneme`, `jax-js`, `tfjs`, `torch`, `titans-pytorch`. */
  readonly library: string;
  /** Where it runs: on the CPU (WebAssembly or native code) or through WebGPU. Only contestants of one are compared. */
  readonly device: Processor;
  /** Version of the library and what it runs on. */
  readonly description: string;
  /** Whether it can do a job. */
  knows(job: JobName): boolean;
  /** Gets a job ready and runs it once. @throws {Error} with one line if the library fails at it. */
  prepare(job: JobName): Promise<Prepared>;
  /**
   * Runs the prepared job, at least once, until so many milliseconds have passed. Each run goes to its very end (results
   * ready in device memory, nothing in flight), and the next one follows at once: threads that wait for work are then as
   * awake as in a training loop, whatever a library has them do between runs.
   */
  run(turnMs: number): Promise<readonly RunTime[]>;
  /**
   * Memory so far, in bytes: the process's largest resident set, and the device memory that the job needs, where known.
   */
  memory(): Promise<{ readonly rssBytes?: number; readonly deviceBytes?: number }>;
  /** Frees everything and ends its process, if it has one. */
  close(): Promise<void>;
}

/**
 * The workers of a device: they sleep until they receive a command, and then run the same function of a program's
 * module as the caller.
 *
 * Commands are words in the first page of the shared memory. A worker that waits for commands cannot receive messages,
 * so it is sent back to its event loop before a module is posted. A launch in the meantime runs on the caller's thread
 * alone, with the same results.
 */
import type { CpuMemory } from "./memory.ts";
import { type ScriptWorker, startWorker } from "./worker.ts";

/** Word offsets in the control page. The words of barriers follow (see module.ts). */
const GO = 0, KIND = 1, PROGRAM = 2, TABLE = 3, STEP = 4, LOOPS = 5;
const RUN = 0, PARK = 1, EXIT = 2;

/** Maximum number of loop indices in a command. */
export const MAX_LOOPS = 32;

/** What a worker runs. */
const WORKER_SCRIPT = `
let memory, words, thread, threads, seen;
const programs = new Map();
addEventListener("message", ({ data }) => {
  if (data.memory) {
    ({ memory, thread, threads } = data);
    words = new Int32Array(memory.buffer, 0, 64);
  }
  for (const id of data.drop ?? []) programs.delete(id);
  if (data.module) programs.set(data.id, new WebAssembly.Instance(data.module, { m: { m: memory } }).exports);
  seen = Atomics.load(words, ${GO});
  postMessage("ready");
  serve();
});
function serve() {
  for (;;) {
    for (let turn = 0; turn < 2000 && Atomics.load(words, ${GO}) === seen; turn++);
    Atomics.wait(words, ${GO}, seen);
    seen = Atomics.load(words, ${GO});
    if (words[${KIND}] === ${PARK}) return;
    if (words[${KIND}] === ${EXIT}) return close();
    const program = programs.get(words[${PROGRAM}]), step = words[${STEP}];
    if (step < 0) program.run(thread, threads, 1, words[${TABLE}]);
    else program["step" + step](thread, threads, 1, words[${TABLE}], ...words.slice(${LOOPS}, ${LOOPS} + ${MAX_LOOPS}));
  }
}
`;

/** Exports of a module: `run`, and `step0` ... for profiling. */
export type ProgramExports = Readonly<Record<string, (...args: number[]) => void>>;

/** The caller's thread and its workers. */
export class Threads {
  /** Number of threads that work on a launch, including the caller's. */
  readonly count: number;
  #workers: readonly ScriptWorker[];
  #words: Int32Array;
  #blocking: boolean;
  #serving: boolean;
  #queue: Promise<unknown> = Promise.resolve();
  #dropped: number[] = [];

  private constructor(memory: CpuMemory, workers: readonly ScriptWorker[], blocking: boolean) {
    this.#words = memory.words(0, 64);
    this.#workers = workers;
    this.#blocking = blocking;
    this.#serving = workers.length > 0;
    this.count = workers.length + 1;
  }

  /** Starts workers. If none can be started, the caller works alone. */
  static async start(memory: CpuMemory, count: number, blocking: boolean): Promise<Threads> {
    if (count <= 1 || !memory.shared) return new Threads(memory, [], blocking);
    const workers: ScriptWorker[] = [];
    try {
      for (let i = 1; i < count; i++) workers.push(startWorker(WORKER_SCRIPT));
      await Promise.all(
        workers.map((worker, i) => worker.ask({ memory: memory.wasm, thread: i + 1, threads: count })),
      );
      return new Threads(memory, workers, blocking);
    } catch {
      for (const worker of workers) worker.terminate();
      return new Threads(memory, [], blocking);
    }
  }

  /** Sends a module to the workers. */
  add(id: number, module: WebAssembly.Module): Promise<void> {
    const added = this.#queue.then(() => this.#send({ id, module, drop: this.#dropped.splice(0) }));
    this.#queue = added.catch(() => {});
    return added;
  }

  async #send(message: unknown): Promise<void> {
    if (this.#workers.length === 0) return;
    this.#serving = false;
    this.#command(PARK);
    await Promise.all(this.#workers.map((worker) => worker.ask(message)));
    this.#serving = true;
  }

  /** Makes the workers drop a module, when the next one is sent. */
  drop(id: number): void {
    this.#dropped.push(id);
  }

  /**
   * Calls a program's `run`, or one of its steps, on all threads (`parallel`) or only the caller's; returns when all
   * have finished.
   */
  run(
    { id, exports, table, parallel, step = -1, loops = [] }: {
      readonly id: number;
      readonly exports: ProgramExports;
      readonly table: number;
      readonly parallel: boolean;
      readonly step?: number;
      readonly loops?: readonly number[];
    },
  ): void {
    const threads = parallel && this.#serving ? this.count : 1;
    if (threads > 1) {
      this.#words[PROGRAM] = id;
      this.#words[TABLE] = table;
      this.#words[STEP] = step;
      loops.forEach((index, i) => this.#words[LOOPS + i] = index);
      this.#command(RUN);
    }
    const name = step < 0 ? "run" : `step${step}`;
    exports[name](0, threads, Number(this.#blocking), table, ...loops);
  }

  #command(kind: number): void {
    this.#words[KIND] = kind;
    Atomics.add(this.#words, GO, 1);
    Atomics.notify(this.#words, GO);
  }

  /** Terminates the workers. */
  stop(): void {
    if (this.#workers.length === 0) return;
    this.#serving = false;
    this.#command(EXIT);
    for (const worker of this.#workers) worker.terminate();
    this.#workers = [];
  }
}

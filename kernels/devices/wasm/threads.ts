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
const GO = 0, KIND = 1, PROGRAM = 2, TABLE = 3, STEP = 4, LOOPS = 5, READY = 63;
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
  for (const [id, module] of data.programs) programs.set(id, new WebAssembly.Instance(module, { m: { m: memory } }).exports);
  seen = Atomics.load(words, ${GO});
  Atomics.add(words, ${READY}, 1);
  postMessage("ready");
  serve();
});
function serve() {
  for (;;) {
    for (let turn = 0; turn < 50000 && Atomics.load(words, ${GO}) === seen; turn++);
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

/** Milliseconds that starting a worker takes: Deno blocks the caller until the worker is there. */
const START_MS = 24;

/**
 * Operations and bytes that threads share in a launch, about a millisecond of one thread: from there on workers start
 * with the program, which is hardly compiled to run once.
 */
const START_WORK = 2e7;

/**
 * The caller's thread and its workers. Unless they are started, they start themselves when they pay off: with a
 * program that is not small, or once launches on the caller's thread alone have taken as long as they cost. A process
 * that runs small programs a few times needs none.
 */
export class Threads {
  #count: number;
  #memory: CpuMemory;
  #workers: readonly ScriptWorker[] = [];
  #words: Int32Array;
  #blocking: boolean;
  #serving = false;
  /** Whether the caller works alone because workers have not been wanted yet. */
  #isWaiting: boolean;
  /** Milliseconds of launches that workers would have shared. */
  #aloneMs = 0;
  #queue: Promise<void> = Promise.resolve();
  /** Modules that the workers do not have yet, and programs that they do not need any more. */
  #added = new Map<number, WebAssembly.Module>();
  #dropped: number[] = [];

  /** @param count Number of threads, including the caller's. */
  constructor(memory: CpuMemory, count: number, blocking: boolean) {
    this.#memory = memory;
    this.#words = memory.words(0, 64);
    this.#blocking = blocking;
    this.#count = memory.shared ? Math.max(1, count) : 1;
    this.#isWaiting = this.#count > 1;
  }

  /** Number of threads that work on a launch once workers have started, including the caller's. */
  get count(): number {
    return this.#count;
  }

  /** Starts workers that have not started, and sends them all modules. If they cannot start, the caller works alone. */
  start(): Promise<void> {
    if (this.#count === 1) return Promise.resolve();
    this.#isWaiting = false;
    const sent = this.#queue.then(() => this.#send());
    this.#queue = sent.catch(() => {});
    return sent;
  }

  /**
   * Makes a module known to the workers.
   * @param work Operations and bytes that they share in a launch.
   */
  async add(id: number, module: WebAssembly.Module, work: number): Promise<void> {
    if (this.#count === 1) return;
    this.#added.set(id, module);
    if (!this.#isWaiting || work >= START_WORK) await this.start();
  }

  async #send(): Promise<void> {
    if (this.#count === 1) return;
    const programs = [...this.#added], drop = this.#dropped.splice(0);
    this.#added.clear();
    this.#serving = false;
    this.#words[READY] = 0;
    if (this.#workers.length === 0) {
      await this.#begin(programs);
    } else {
      this.#command(PARK);
      await Promise.all(this.#workers.map((worker) => worker.ask({ programs, drop })));
    }
    this.#serving = this.#count > 1;
  }

  async #begin(programs: readonly (readonly [number, WebAssembly.Module])[]): Promise<void> {
    const workers: ScriptWorker[] = [], threads = this.#count;
    try {
      for (let i = 1; i < threads; i++) workers.push(startWorker(WORKER_SCRIPT));
      this.#workers = workers;
      await Promise.all(
        workers.map((worker, i) => worker.ask({ memory: this.#memory.wasm, thread: i + 1, threads, programs })),
      );
    } catch {
      for (const worker of workers) worker.terminate();
      this.#workers = [];
      this.#count = 1;
      this.#added.clear();
    }
  }

  /** Makes the workers drop a module, when they are next sent one. */
  drop(id: number): void {
    if (!this.#added.delete(id)) this.#dropped.push(id);
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
    const threads = parallel && this.isServing ? this.#count : 1;
    if (threads > 1) {
      this.#words[PROGRAM] = id;
      this.#words[TABLE] = table;
      this.#words[STEP] = step;
      loops.forEach((index, i) => this.#words[LOOPS + i] = index);
      this.#command(RUN);
    }
    const name = step < 0 ? "run" : `step${step}`, isMissed = parallel && this.#isWaiting;
    const began = isMissed ? performance.now() : 0;
    exports[name](0, threads, Number(this.#blocking), table, ...loops);
    if (!isMissed) return;
    if (this.#aloneMs >= START_MS * (this.#count - 1)) void this.start();
    this.#aloneMs += performance.now() - began;
  }

  /** Whether workers take commands. A caller that launches without pause gets no messages, so they say it in memory. */
  get isServing(): boolean {
    if (!this.#serving && this.#workers.length > 0) {
      this.#serving = Atomics.load(this.#words, READY) === this.#workers.length;
    }
    return this.#serving;
  }

  #command(kind: number): void {
    this.#words[KIND] = kind;
    Atomics.add(this.#words, GO, 1);
    Atomics.notify(this.#words, GO);
  }

  /** Terminates the workers. None start any more. */
  stop(): void {
    if (this.isServing) this.#command(EXIT);
    this.#serving = this.#isWaiting = false;
    this.#count = 1;
    for (const worker of this.#workers) worker.terminate();
    this.#workers = [];
  }
}

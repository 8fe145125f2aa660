/**
 * Shares a device between requests. Work is done in rounds, and requests join and leave between them:
 *
 *     round    one piece of one text that is to be read, in turn;
 *              then one token of each text that is being written, all in one launch
 *
 * A batch always has the same number of rows, so that one program is compiled, and what a request gives is the same to
 * the last bit whoever else is there: programs of other sizes may add in another order.
 */
import type { BatchDecoder, Decoder, DecodeState } from "../../titans/mod.ts";
import { checkTokens } from "../../titans/models/decode.ts";

/** A text that is being written. */
export interface Writer {
  /** Chooses the token after these logits. */
  next(logits: Float32Array): number;
  /** Whether the token chosen last ends the text. */
  readonly done: boolean;
  /** While its reader is behind: resolves when more may be written. The text leaves the batch meanwhile. */
  full?(): Promise<void> | undefined;
}

/** Something to do, until it is given up. */
interface Job {
  readonly signal: AbortSignal;
  reject(error: unknown): void;
}

interface ReadJob extends Job {
  readonly tokens: ArrayLike<number>;
  /** Where the text begins; the caller's. */
  readonly before: DecodeState;
  /** What was read so far. */
  state: DecodeState;
  next: number;
  resolve(state: DecodeState): void;
}

interface WriteJob extends Job {
  readonly writer: Writer;
  /** What was read before the next token; the job's own once it has been in a row. */
  state: DecodeState;
  isOwn: boolean;
  logits: Float32Array;
  resolve(): void;
}

/** Reads and writes texts of many requests on one device. */
export class Engine {
  readonly #decoder: Decoder;
  readonly #batch: BatchDecoder;
  readonly #reads: ReadJob[] = [];
  readonly #waiting: WriteJob[] = [];
  readonly #rows: (WriteJob | undefined)[];
  #running: Promise<void> | undefined;
  #steps = 0;
  #fail: (error: unknown) => void;
  #failure: { readonly error: unknown } | undefined;
  /** Settles with what the device failed of, after which nothing works. */
  readonly failed: Promise<unknown>;

  private constructor(decoder: Decoder, batch: BatchDecoder) {
    this.#decoder = decoder;
    this.#batch = batch;
    this.#rows = Array.from({ length: batch.rows }, () => undefined);
    const { promise, resolve } = Promise.withResolvers<unknown>();
    this.failed = promise;
    this.#fail = resolve;
  }

  /**
   * @param decoder Of the model.
   * @param rows Texts that are written at once.
   */
  static async create(decoder: Decoder, rows: number): Promise<Engine> {
    return new Engine(decoder, await decoder.batch(rows));
  }

  /** Texts that are being written, those that wait for a row, and launches of the batch so far. */
  get load(): { readonly writing: number; readonly waiting: number; readonly steps: number } {
    const writing = this.#rows.filter(Boolean).length;
    return { writing, waiting: this.#waiting.length + this.#reads.length, steps: this.#steps };
  }

  /**
   * Reads tokens after a state, which stays the caller's.
   * @param tokens At least one.
   * @returns The state after them, the caller's to dispose.
   * @throws {RangeError} if the model cannot read them.
   */
  async read(state: DecodeState, tokens: ArrayLike<number>, signal: AbortSignal): Promise<DecodeState> {
    checkTokens(this.#decoder.model, tokens, state.tokensRead);
    return await this.#add<DecodeState>((resolve, reject) =>
      this.#reads.push({ tokens, before: state, state, next: 0, signal, resolve, reject })
    );
  }

  /**
   * Writes tokens after a state, which stays the caller's and is needed to the end.
   * @param state After at least one token.
   */
  write(state: DecodeState, writer: Writer, signal: AbortSignal): Promise<void> {
    const { logits } = state;
    if (!logits) throw new RangeError("Cannot write after nothing: read at least one token first");
    return this.#add<void>((resolve, reject) =>
      this.#waiting.push({ writer, state, isOwn: false, logits, signal, resolve, reject })
    );
  }

  /** Frees the batch; only when nothing is being done. */
  async dispose(): Promise<void> {
    await this.#running;
    this.#batch.dispose();
  }

  #add<T>(add: (resolve: (value: T) => void, reject: (error: unknown) => void) => void): Promise<T> {
    if (this.#failure) return Promise.reject(this.#failure.error);
    return new Promise<T>((resolve, reject) => {
      add(resolve, reject);
      this.#wake();
    });
  }

  #wake(): void {
    this.#running ??= this.#run().catch((error) => this.#giveUp(error)).finally(() => this.#running = undefined);
  }

  async #run(): Promise<void> {
    while (this.#reads.length + this.#waiting.length > 0 || this.#rows.some(Boolean)) {
      await this.#readPiece();
      this.#admit();
      await this.#step();
      // Requests arrive, and readers are served, between turns of the event loop.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  /** Reads a piece of the text whose turn it is. */
  async #readPiece(): Promise<void> {
    const job = this.#reads.shift();
    if (!job) return;
    const { tokens, before, next, signal } = job;
    if (signal.aborted) {
      if (job.state !== before) job.state.dispose();
      return job.reject(signal.reason);
    }
    // Pieces end where reading goes on fast, at places that do not depend on the load.
    const unit = this.#decoder.tokensAtOnce, toBoundary = unit - job.state.tokensRead % unit;
    const piece = Array.prototype.slice.call(tokens, next, next + toBoundary);
    const { state } = await this.#decoder.prefill(piece, job.state);
    if (job.state !== before) job.state.dispose();
    job.state = state;
    job.next += piece.length;
    if (job.next < tokens.length) this.#reads.push(job);
    else job.resolve(state);
  }

  /** Puts waiting texts into free rows. */
  #admit(): void {
    for (let row = 0; row < this.#rows.length && this.#waiting.length > 0; row++) {
      if (this.#rows[row]) continue;
      const job = this.#waiting.shift()!;
      if (job.signal.aborted) {
        this.#end(job, job.signal.reason);
        row--;
        continue;
      }
      this.#batch.put(row, job.state);
      this.#rows[row] = job;
    }
  }

  /** One token of each text. */
  async #step(): Promise<void> {
    const tokens = this.#rows.map((job, row) => job && this.#choose(job, row));
    if (tokens.every((token) => token === undefined)) return;
    const logits = await this.#batch.step(tokens);
    this.#steps++;
    logits.forEach((read, row) => {
      const job = this.#rows[row];
      if (job && read) job.logits = read;
    });
  }

  /** The next token of a text, or undefined where it leaves its row. */
  #choose(job: WriteJob, row: number): number | undefined {
    const { writer, signal } = job;
    const leave = (): void => {
      this.#rows[row] = undefined;
    };
    try {
      signal.throwIfAborted();
      const full = writer.full?.();
      if (full) {
        leave();
        this.#park(job, row, full);
        return undefined;
      }
      const token = writer.next(job.logits);
      if (!writer.done) return token;
    } catch (error) {
      leave();
      this.#end(job, error);
      return undefined;
    }
    leave();
    this.#end(job);
    return undefined;
  }

  /** Keeps a text outside the batch until its reader has caught up. */
  #park(job: WriteJob, row: number, full: Promise<void>): void {
    const state = this.#batch.take(row);
    if (job.isOwn) job.state.dispose();
    Object.assign(job, { state, isOwn: true });
    let isBack = false;
    const back = (): void => {
      if (isBack) return;
      isBack = true;
      job.signal.removeEventListener("abort", back);
      this.#waiting.push(job);
      this.#wake();
    };
    job.signal.addEventListener("abort", back, { once: true });
    full.then(back, back);
  }

  #end(job: WriteJob, error?: unknown): void {
    if (job.isOwn) job.state.dispose();
    if (error === undefined) job.resolve();
    else job.reject(error);
  }

  /** The device failed: everybody is told. */
  #giveUp(error: unknown): void {
    this.#failure = { error };
    const jobs: Job[] = [...this.#reads.splice(0), ...this.#waiting.splice(0)];
    for (const job of [...jobs, ...this.#rows.filter((job) => job !== undefined)]) job.reject(error);
    this.#rows.fill(undefined);
    this.#fail(error);
  }
}

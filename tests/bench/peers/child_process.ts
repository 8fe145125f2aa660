/**
 * A contestant in a process of its own: what it does to memory, threads and caches is its own, and when it crashes or
 * hangs, the benchmark goes on.
 */
import type { Contestant, JobName, Prepared, Processor, RunTime } from "../contestant.ts";
import { type Answers, linesOf, type Reply, type Request } from "./protocol.ts";

/** How to start a contestant's process. */
export interface ChildOptions {
  readonly library: string;
  readonly device: Processor;
  /** A program that speaks the protocol; `serve` makes one. */
  readonly command: string;
  readonly args: readonly string[];
  /** Environment variables on top of this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** The longest wait for one answer, in milliseconds; then the process is killed. Five minutes unless told. */
  readonly timeoutMs?: number;
  /** The same for the first answer, which may include a download. Ten minutes unless told. */
  readonly openTimeoutMs?: number;
}

/** How long a process may take to end when asked to. */
const CLOSE_MS = 5000;

/** What a runtime's last words look like, among the lines of a stack. */
const ERROR = /error|exception|fatal|panicked/i;

/**
 * Starts a contestant's process and asks what it is. Each further job gets a fresh process, so that times of the first
 * run and memory are the job's alone.
 * @throws {Error} with one line if the program does not start or cannot open its library.
 */
export async function openChild(options: ChildOptions): Promise<Contestant> {
  const child = new Child(options);
  try {
    return new ChildContestant(options, child, await child.ask({ ask: "open" }));
  } catch (error) {
    await child.close();
    throw error;
  }
}

class ChildContestant implements Contestant {
  readonly library: string;
  readonly device: Processor;
  readonly description: string;
  readonly #options: ChildOptions;
  readonly #jobs: ReadonlySet<JobName>;
  #child: Child;
  #used = false;

  constructor(options: ChildOptions, child: Child, { description, jobs }: Answers["open"]) {
    this.library = options.library;
    this.device = options.device;
    this.description = description;
    this.#options = options;
    this.#jobs = new Set(jobs);
    this.#child = child;
  }

  knows(job: JobName): boolean {
    return this.#jobs.has(job);
  }

  async prepare(job: JobName): Promise<Prepared> {
    if (this.#used || this.#child.ended) {
      await this.#child.close();
      this.#child = new Child(this.#options);
      await this.#child.ask({ ask: "open" });
    }
    this.#used = true;
    return await this.#child.ask({ ask: "prepare", job });
  }

  async run(turnMs: number): Promise<readonly RunTime[]> {
    return await this.#child.ask({ ask: "run", turnMs });
  }

  async memory(): Promise<Answers["memory"]> {
    return await this.#child.ask({ ask: "memory" });
  }

  async close(): Promise<void> {
    await this.#child.close();
  }
}

/** A process that is asked one thing at a time. */
class Child {
  readonly #name: string;
  readonly #timeoutMs: number;
  readonly #openTimeoutMs: number;
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #stdout: AsyncGenerator<string, void>;
  /** Resolves when standard error has ended, to the last error on it, or else its last line. */
  readonly #lastWords: Promise<string>;
  #ended = false;

  constructor(
    { library, device, command, args, env = {}, timeoutMs = 300_000, openTimeoutMs = 600_000 }: ChildOptions,
  ) {
    this.#name = `${library} on ${device}`;
    this.#timeoutMs = timeoutMs;
    this.#openTimeoutMs = openTimeoutMs;
    this.#process = new Deno.Command(command, {
      args: [...args],
      env: { NO_COLOR: "1", ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdin = this.#process.stdin.getWriter();
    this.#stdout = linesOf(this.#process.stdout);
    this.#lastWords = lastErrorOf(this.#process.stderr);
  }

  /** Whether the process has ended or been killed. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Asks and waits for the answer. @throws {Error} with one line if the request fails, and if the process ends or does
   * not answer in time.
   */
  async ask<R extends Request>(request: R): Promise<Answers[R["ask"]]> {
    if (this.#ended) throw new Error(`${this.#name}: its process has ended: prepare a job to start another`);
    const what = request.ask === "prepare" ? `prepare ${request.job}` : request.ask;
    const timeoutMs = request.ask === "open" ? this.#openTimeoutMs : this.#timeoutMs;
    const reply = await withTimeout(this.#exchange<R["ask"]>(request), timeoutMs);
    if (reply === "late") {
      await this.#kill();
      throw new Error(`${this.#name}: no answer to ${what} in ${timeoutMs / 1000} s: killed`);
    }
    if (reply === "ended") {
      const { code, signal } = await this.#process.status;
      const lastWords = await withTimeout(this.#lastWords, CLOSE_MS);
      await this.#kill();
      throw new Error(
        `${this.#name}: the process ended ${
          signal === null ? `with code ${code}` : `by ${signal}`
        } at ${what}: ${lastWords}`,
      );
    }
    if ("error" in reply) throw new Error(`${this.#name}: ${what}: ${reply.error}`);
    return reply.answer;
  }

  /** Asks the process to end, and kills it if it does not. */
  async close(): Promise<void> {
    if (this.#ended) return;
    await withTimeout(this.#exchange<"close">({ ask: "close" }), CLOSE_MS);
    await withTimeout(this.#process.status, CLOSE_MS);
    await this.#kill();
  }

  async #exchange<A extends keyof Answers>(request: Request): Promise<Reply<A> | "ended"> {
    try {
      await this.#stdin.write(new TextEncoder().encode(`${JSON.stringify(request)}\n`));
    } catch {
      return "ended";
    }
    for (;;) {
      const { value, done } = await this.#stdout.next();
      if (done) return "ended";
      const reply = replyOf<A>(value);
      if (reply !== undefined) return reply;
    }
  }

  /** Ends the process, whatever it does, and lets go of its streams. */
  async #kill(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.#stdin.abort().catch(() => {});
    // A program that was only a launcher leaves one behind that holds the streams; it ends when it sees that its
    // standard input has.
    await withTimeout(this.#drain(), CLOSE_MS);
  }

  async #drain(): Promise<void> {
    await this.#process.status;
    await this.#lastWords;
    while (!(await this.#stdout.next()).done);
  }
}

/** A line as a reply; undefined for lines that a library printed. */
function replyOf<A extends keyof Answers>(line: string): Reply<A> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && ("answer" in value || "error" in value)
      ? value as Reply<A>
      : undefined;
  } catch {
    return undefined;
  }
}

async function lastErrorOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  let words = "it said nothing", isError = false;
  for await (const line of linesOf(stream)) {
    if (line.trim() === "" || (isError && !ERROR.test(line))) continue;
    words = line.trim();
    isError = ERROR.test(line);
  }
  return words;
}

async function withTimeout<T>(promise: Promise<T>, ms: number): Promise<T | "late"> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<"late">((resolve) => timer = setTimeout(() => resolve("late"), ms));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

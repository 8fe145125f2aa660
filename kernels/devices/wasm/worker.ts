/**
 * Workers in every runtime: those of the web, which browsers, Deno and Bun have, or Node's threads.
 *
 * Their script is a text, so that it is found however this library is loaded. In it, `addEventListener`, `postMessage`
 * and `close` mean what they mean in a worker of the web.
 */

/** A worker that answers each message with one of its own. */
export interface ScriptWorker {
  /** Sends a message and waits for the answer; only meanwhile does the worker keep the process alive. */
  ask(message: unknown): Promise<void>;
  /** Ends it. */
  terminate(): void;
}

/** Whether the runtime has workers. */
export function hasWorkers(): boolean {
  return typeof Worker === "function" || nodeThreads() !== undefined;
}

/** Starts a worker. @throws {Error} where the runtime refuses. */
export function startWorker(script: string): ScriptWorker {
  const threads = nodeThreads();
  return threads ? new NodeWorker(threads, script) : new WebWorker(script);
}

class WebWorker implements ScriptWorker {
  #worker: Worker;
  #url: string;
  #keepsProcess = true;

  constructor(script: string) {
    this.#url = scriptUrl(script);
    this.#worker = new Worker(this.#url, { type: "module" });
  }

  async ask(message: unknown): Promise<void> {
    const worker = this.#worker;
    this.#keepProcess(true);
    try {
      await new Promise<void>((resolve, reject) => {
        worker.onmessage = () => resolve();
        worker.onerror = (event) => {
          event.preventDefault();
          reject(new Error(event.message));
        };
        worker.postMessage(message);
      });
    } finally {
      this.#keepProcess(false);
      // It has loaded, or never will.
      URL.revokeObjectURL(this.#url);
    }
  }

  terminate(): void {
    this.#worker.terminate();
  }

  /** Browsers need nothing, Bun has Node's `unref`, and its equivalent in Deno is behind an unnamed symbol. */
  #keepProcess(keeps: boolean): void {
    // Calls are counted, so only a worker that was unreferenced may be referenced again.
    if (this.#keepsProcess === keeps) return;
    this.#keepsProcess = keeps;
    const candidates = this.#worker as unknown as Record<string | symbol, unknown>;
    const named = candidates[keeps ? "ref" : "unref"];
    if (typeof named === "function") return void named.call(this.#worker);
    for (const symbol of Object.getOwnPropertySymbols(Worker.prototype)) {
      const method = candidates[symbol];
      if (!symbol.description && typeof method === "function" && method.length === 1) method.call(this.#worker, keeps);
    }
  }
}

/**
 * The URL of a script. A page can only share memory with code of its own origin, hence a blob. Runtimes without origins
 * accept blobs too, but executables made by `deno compile` cannot load them and use a data URL.
 */
function scriptUrl(script: string): string {
  const blob = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  if (!blob.startsWith("blob:null/")) return blob;
  URL.revokeObjectURL(blob);
  return `data:text/javascript,${encodeURIComponent(script)}`;
}

/** What is used of `node:worker_threads`. */
interface NodeThreads {
  readonly Worker: new (script: string, options: { readonly eval: true }) => NodeThread;
}

interface NodeThread {
  on(event: "message" | "error", listener: (value: unknown) => void): void;
  postMessage(message: unknown): void;
  ref(): void;
  unref(): void;
  terminate(): Promise<number>;
}

interface NodeLike {
  readonly process?: { getBuiltinModule?(name: "node:worker_threads"): NodeThreads | undefined };
}

/** Node's threads, where workers of the web are missing. By a call, since bundlers for browsers follow imports. */
function nodeThreads(): NodeThreads | undefined {
  if (typeof Worker === "function") return undefined;
  return (globalThis as NodeLike).process?.getBuiltinModule?.("node:worker_threads");
}

/** The names of a worker of the web. */
const NODE_PRELUDE = `
const { parentPort } = require("node:worker_threads");
const addEventListener = (type, listener) => parentPort.on(type, (data) => listener({ data }));
const postMessage = (message) => parentPort.postMessage(message);
const close = () => process.exit();
`;

class NodeWorker implements ScriptWorker {
  #thread: NodeThread;
  #answer: PromiseWithResolvers<unknown> = Promise.withResolvers();

  constructor({ Worker }: NodeThreads, script: string) {
    this.#thread = new Worker(NODE_PRELUDE + script, { eval: true });
    this.#thread.on("message", (answer) => this.#answer.resolve(answer));
    // Without a listener an error would end the process.
    this.#thread.on("error", (error) => this.#answer.reject(error));
  }

  async ask(message: unknown): Promise<void> {
    this.#answer = Promise.withResolvers();
    this.#thread.ref();
    try {
      this.#thread.postMessage(message);
      await this.#answer.promise;
    } finally {
      this.#thread.unref();
    }
  }

  terminate(): void {
    void this.#thread.terminate();
  }
}

/**
 * Threads for the WebAssembly of TensorFlow.js, outside of browsers.
 *
 * Its threaded binary is built for pages: it looks for `window`, fetches its binary by path, starts classic workers
 * that read their script with `importScripts`, and uses half of the processors that `navigator` names. It takes Deno
 * for Node, where it does without threads. So while it starts, this process looks like a page.
 */

/** The workers that the binary prepares. */
export const MAX_THREADS = 8;

/** A message to a worker of the binary. */
interface WorkerMessage {
  readonly cmd: string;
  /** The script that the worker is to import, in the message that comes first. */
  readonly urlOrBlob?: Blob;
}

const ModuleWorker = Worker;
const fetchUrl = fetch;

/** Looks like a classic worker; is a module worker that has its script from the start. */
class ClassicWorker {
  onmessage: ((event: MessageEvent) => void) | null = null;
  onerror: ((event: ErrorEvent) => void) | null = null;
  readonly #url: string;
  readonly #waiting: WorkerMessage[] = [];
  #worker: Worker | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  postMessage(message: WorkerMessage): void {
    if (this.#worker !== undefined) {
      this.#worker.postMessage(message);
      return;
    }
    this.#waiting.push(message);
    if (message.urlOrBlob !== undefined) this.#start(message.urlOrBlob).catch((error) => console.error(error));
  }

  terminate(): void {
    this.#worker?.terminate();
  }

  async #start(script: Blob): Promise<void> {
    const [own, imported] = await Promise.all([fetchUrl(this.#url).then((response) => response.text()), script.text()]);
    const source = `delete globalThis.process;\nglobalThis.importScripts = () => (0, eval)(${
      JSON.stringify(imported)
    });\n${own}`;
    const worker = new ModuleWorker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), {
      type: "module",
    });
    worker.onmessage = (event) => this.onmessage?.(event);
    worker.onerror = (event) => this.onerror?.(event);
    // Deno clones no blobs; the worker has the text already.
    for (const message of this.#waiting) {
      worker.postMessage(message.urlOrBlob === undefined ? message : { ...message, urlOrBlob: "" });
    }
    this.#worker = worker;
  }
}

/** Paths of files count as addresses. */
async function fetchFile(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  if (typeof input !== "string" || !input.startsWith("/")) return await fetchUrl(input, init);
  return new Response(await Deno.readFile(input), { headers: { "content-type": "application/wasm" } });
}

/** Runs `start`, which starts the backend, in what looks like a page that may use so many threads. */
export async function likeAPage<T>(threads: number, start: () => Promise<T>): Promise<T> {
  const page: readonly [object, string, unknown][] = [
    [globalThis, "process", undefined],
    [globalThis, "window", globalThis],
    [globalThis, "Worker", ClassicWorker],
    [globalThis, "fetch", fetchFile],
    [navigator, "hardwareConcurrency", 2 * threads],
  ];
  const before = page.map(([target, name]) => Object.getOwnPropertyDescriptor(target, name));
  for (const [target, name, value] of page) {
    Object.defineProperty(target, name, { value, configurable: true, writable: true });
  }
  try {
    return await start();
  } finally {
    page.forEach(([target, name], i) => {
      const descriptor = before[i];
      if (descriptor === undefined) Reflect.deleteProperty(target, name);
      else Object.defineProperty(target, name, descriptor);
    });
  }
}

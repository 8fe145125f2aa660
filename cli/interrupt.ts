/**
 * Handles Ctrl-C, SIGTERM and SIGUSR1, by which schedulers say that time is almost over: the first one asks a command to
 * stop gracefully, a second one ends it immediately.
 * Closing the pipe that a command writes to also asks it to stop.
 */
import type { Terminal } from "./terminal.ts";

/** The signals, each with the conventional exit code of a command stopped by it. */
const EXIT_CODES: ReadonlyMap<Deno.Signal, number> = new Map(
  Deno.build.os === "windows"
    ? [["SIGINT", 130], ["SIGBREAK", 149]]
    : [["SIGINT", 130], ["SIGTERM", 143], ["SIGUSR1", 138]],
);

/** The exit code of a command that was stopped by Ctrl-C. */
export const INTERRUPTED = 130;

/** The conventional exit code of a command whose output pipe was closed. */
const READER_LEFT = 141;

// A single Ctrl-C can arrive twice: from the terminal, and forwarded by the parent process.
const ECHO_MS = 500;

/** Whether a stop was requested. */
export interface Interrupt {
  readonly requested: boolean;
  /** The exit code when stopped: 130 for Ctrl-C, 143 for SIGTERM, 138 for SIGUSR1, 141 for a closed pipe. */
  readonly exitCode: number;
  /** Also handles signals while the main thread is busy for long; see {@link watch}. */
  hearWhileBusy(): void;
  /** Restores the default behaviour of the signals. */
  [Symbol.dispose](): void;
}

// How long the main thread has to react to a signal.
const PATIENCE_MS = 1000;

const WATCHER = `
const handler = () => {
  const now = performance.now();
  if (first === undefined) {
    first = now;
    setTimeout(() => Atomics.load(heard, 0) === 0 && Deno.stderr.writeSync(new TextEncoder().encode(line)), patienceMs);
  } else if (now - first > echoMs) setTimeout(() => Deno.kill(Deno.pid, "SIGKILL"), patienceMs);
};
let first, heard, signals, patienceMs, echoMs, line;
onmessage = ({ data }) => {
  if (data === "end") {
    for (const signal of signals) Deno.removeSignalListener(signal, handler);
    return close();
  }
  ({ heard, signals, patienceMs, echoMs, line } = data);
  for (const signal of signals) Deno.addSignalListener(signal, handler);
};
`;

/**
 * Handles signals on a separate thread. The main thread receives signals only between turns of its event loop, and a
 * step on the CPU can take minutes. This thread acknowledges the first signal, and ends the process at the second one,
 * if the main thread does not.
 * @param heard Shared memory in which the main thread records that it has received a signal.
 */
function watch(heard: Int32Array): Disposable {
  const url = URL.createObjectURL(new Blob([WATCHER], { type: "text/javascript" }));
  const worker = new Worker(url, { type: "module" });
  // Without this thread, signals are handled between steps.
  worker.onerror = (event) => event.preventDefault();
  const line = "\nstopping after this step; press Ctrl-C again to stop immediately without saving\n";
  worker.postMessage({ heard, signals: [...EXIT_CODES.keys()], patienceMs: PATIENCE_MS, echoMs: ECHO_MS, line });
  return { [Symbol.dispose]: () => worker.postMessage("end") };
}

/**
 * Listens for signals until disposed.
 * @param terminal What the command writes to.
 * @param launched Whether a launcher such as mpirun passes signals on, also twice, and ends what does not: a second
 * signal then changes nothing.
 */
export function listenForInterrupt(terminal: Pick<Terminal, "closed">, launched = false): Interrupt {
  let first: { code: number; time: number } | undefined;
  const heard = new Int32Array(new SharedArrayBuffer(4));
  let watcher: Disposable | undefined;
  const handlers = [...EXIT_CODES].map(([signal, code]) => ({
    signal,
    handler: (): void => {
      if (!launched && first && performance.now() - first.time > ECHO_MS) Deno.exit(code);
      first ??= { code, time: performance.now() };
      Atomics.store(heard, 0, 1);
    },
  }));
  for (const { signal, handler } of handlers) Deno.addSignalListener(signal, handler);
  return {
    get requested() {
      return first !== undefined || terminal.closed;
    },
    get exitCode() {
      return first?.code ?? (terminal.closed ? READER_LEFT : INTERRUPTED);
    },
    hearWhileBusy: () => {
      if (!launched) watcher ??= watch(heard);
    },
    [Symbol.dispose]: () => {
      watcher?.[Symbol.dispose]();
      for (const { signal, handler } of handlers) Deno.removeSignalListener(signal, handler);
    },
  };
}

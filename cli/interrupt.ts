/**
 * Ctrl-C and SIGTERM: the first one asks a command to stop in good order, a second one stops it at once. Who closes the
 * pipe that a command writes to asks it to stop too.
 */
import type { Terminal } from "./terminal.ts";

/** The signals, each with the exit code that shells expect of a command that it stopped. */
const EXIT_CODES: ReadonlyMap<Deno.Signal, number> = new Map(
  Deno.build.os === "windows" ? [["SIGINT", 130], ["SIGBREAK", 149]] : [["SIGINT", 130], ["SIGTERM", 143]],
);

/** The exit code of a command that was stopped by Ctrl-C. */
export const INTERRUPTED = 130;

/** The exit code of a command whose reader left, as shells have it. */
const READER_LEFT = 141;

// One Ctrl-C may come twice: from the terminal, and from the program that started this one and passes it on.
const ECHO_MS = 500;

/** Whether somebody asked to stop. */
export interface Interrupt {
  readonly requested: boolean;
  /** What to exit with when stopped: 130 by Ctrl-C, 143 by SIGTERM, 141 by a closed pipe. */
  readonly exitCode: number;
  /** Hears signals while the main thread is busy for long too, from the next moment on; see {@link watch}. */
  hearWhileBusy(): void;
  /** Gives the signals their usual meaning back. */
  [Symbol.dispose](): void;
}

// The main thread has this long to do something about a signal.
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
 * Hears signals on a thread of its own. They reach the main thread between turns of the event loop only, and a step on
 * the CPU may take minutes: so this one says that somebody was heard, and ends the process at the second signal, if the
 * main thread does not.
 * @param heard Where the main thread says that it has heard of one.
 */
function watch(heard: Int32Array): Disposable {
  const url = URL.createObjectURL(new Blob([WATCHER], { type: "text/javascript" }));
  const worker = new Worker(url, { type: "module" });
  // Without it, signals are heard between steps.
  worker.onerror = (event) => event.preventDefault();
  const line = "\nstopping after this step; Ctrl-C again stops at once, without saving\n";
  worker.postMessage({ heard, signals: [...EXIT_CODES.keys()], patienceMs: PATIENCE_MS, echoMs: ECHO_MS, line });
  return { [Symbol.dispose]: () => worker.postMessage("end") };
}

/** Listens for signals until disposed. @param terminal What the command writes to. */
export function listenForInterrupt(terminal: Pick<Terminal, "closed">): Interrupt {
  let first: { code: number; time: number } | undefined;
  const heard = new Int32Array(new SharedArrayBuffer(4));
  let watcher: Disposable | undefined;
  const handlers = [...EXIT_CODES].map(([signal, code]) => ({
    signal,
    handler: (): void => {
      if (first && performance.now() - first.time > ECHO_MS) Deno.exit(code);
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
      watcher ??= watch(heard);
    },
    [Symbol.dispose]: () => {
      watcher?.[Symbol.dispose]();
      for (const { signal, handler } of handlers) Deno.removeSignalListener(signal, handler);
    },
  };
}

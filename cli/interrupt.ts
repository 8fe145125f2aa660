/**
 * Ctrl-C and SIGTERM: the first one asks a command to stop in good order, a second one stops it at once. Who closes the pipe that a command writes to asks it to
 * stop too.
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
  /** Gives the signals their usual meaning back. */
  [Symbol.dispose](): void;
}

/** Listens for signals until disposed. @param terminal What the command writes to. */
export function listenForInterrupt(terminal: Pick<Terminal, "closed">): Interrupt {
  let first: { code: number; time: number } | undefined;
  const handlers = [...EXIT_CODES].map(([signal, code]) => ({
    signal,
    handler: (): void => {
      if (first && performance.now() - first.time > ECHO_MS) Deno.exit(code);
      first ??= { code, time: performance.now() };
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
    [Symbol.dispose]: () => {
      for (const { signal, handler } of handlers) Deno.removeSignalListener(signal, handler);
    },
  };
}

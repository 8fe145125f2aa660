/** Ctrl-C: the first one asks a command to stop in good order, the second one stops it at once. */

const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];

/** The exit code of a command that was stopped by Ctrl-C. */
export const INTERRUPTED = 130;

/** Whether somebody asked to stop. */
export interface Interrupt {
  readonly requested: boolean;
  /** Gives the signals their usual meaning back. */
  [Symbol.dispose](): void;
}

/** Listens for signals until disposed. */
export function listenForInterrupt(): Interrupt {
  let requested = false;
  const handler = (): void => {
    if (requested) Deno.exit(INTERRUPTED);
    requested = true;
  };
  for (const signal of SIGNALS) Deno.addSignalListener(signal, handler);
  return {
    get requested() {
      return requested;
    },
    [Symbol.dispose]: () => {
      for (const signal of SIGNALS) Deno.removeSignalListener(signal, handler);
    },
  };
}

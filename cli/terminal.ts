/** Where commands write: a person's terminal, a pipe, or a test. */

/** Standard output and standard error of a command. */
export interface Terminal {
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** Whether a person watches standard output, so that a line may be rewritten. */
  readonly interactive: boolean;
}

/** The terminal of the process. */
export function processTerminal(): Terminal {
  const encoder = new TextEncoder();
  const write = (stream: { writeSync(bytes: Uint8Array): number }, text: string): void => {
    let bytes = encoder.encode(text);
    try {
      while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
    } catch (error) {
      // The reader of a pipe may leave early (`| head`): nobody is there to read more.
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    }
  };
  return {
    out: (text) => write(Deno.stdout, text),
    err: (text) => write(Deno.stderr, text),
    interactive: Deno.stdout.isTerminal(),
  };
}

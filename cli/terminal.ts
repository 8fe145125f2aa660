/** Where commands write: a person's terminal, a pipe, or a test. */

/** Standard output and standard error of a command. */
export interface Terminal {
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** Whether a person watches standard output, so that a line may be rewritten. */
  readonly interactive: boolean;
  /** Letters that fit a line now; infinite where nobody watches. */
  readonly columns: number;
  /** Whether the reader of standard output has left: what is written from now on is lost. */
  readonly closed: boolean;
}

/** The terminal of the process. */
export function processTerminal(): Terminal {
  const encoder = new TextEncoder(), interactive = Deno.stdout.isTerminal();
  let closed = false;
  const write = (stream: { writeSync(bytes: Uint8Array): number }, text: string): void => {
    let bytes = encoder.encode(text);
    try {
      while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
    } catch (error) {
      // The reader of a pipe may leave early (`| head`).
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
      closed ||= stream === Deno.stdout;
    }
  };
  return {
    out: (text) => write(Deno.stdout, text),
    err: (text) => write(Deno.stderr, text),
    interactive,
    get columns() {
      return interactive ? terminalColumns() : Infinity;
    },
    get closed() {
      return closed;
    },
  };
}

function terminalColumns(): number {
  try {
    // Some terminals claim to have none.
    return Deno.consoleSize().columns || Infinity;
  } catch {
    return Infinity;
  }
}

/** Parts of a line that is rewritten in place, as many as fit: a line that wraps could not be. */
export function fitLine(parts: readonly string[], { columns }: Pick<Terminal, "columns">): string {
  // Some terminals wrap as soon as the last column is written.
  const most = columns - 1;
  let count = parts.length;
  while (count > 1 && parts.slice(0, count).join("  ").length > most) count--;
  return parts.slice(0, count).join("  ").slice(0, Math.max(0, most));
}

/**
 * A text as it may be shown: control codes, which a terminal would obey, and those that turn the direction of writing
 * as dots; but for tabs and ends of lines.
 */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu,
    (letter) => letter === "\n" || letter === "\t" ? letter : "·",
  );
}

/** The output of commands: a terminal, a pipe or a test. */

/** Standard output and standard error of a command. */
export interface Terminal {
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** Whether standard output is a terminal, so that a line can be updated in place. */
  readonly interactive: boolean;
  /** Current width of a line in characters; infinite if not a terminal. */
  readonly columns: number;
  /** Whether the reader of standard output has closed the pipe; further output is lost. */
  readonly closed: boolean;
}

/** The terminal of the process. */
export function processTerminal(): Terminal {
  const encoder = new TextEncoder(), interactive = Deno.stdout.isTerminal();
  let closed = false;
  const write = (stream: typeof Deno.stdout | typeof Deno.stderr, text: string): void => {
    let bytes = encoder.encode(stream.isTerminal() ? withoutForeignCodes(text) : text);
    try {
      while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
    } catch (error) {
      // The reader of a pipe may close it early (`| head`).
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
    // Some terminals report a width of 0.
    return Deno.consoleSize().columns || Infinity;
  } catch {
    return Infinity;
  }
}

/** As many parts of a progress line as fit: a line that wraps cannot be updated in place. */
export function fitLine(parts: readonly string[], { columns }: Pick<Terminal, "columns">): string {
  // Some terminals wrap as soon as the last column is filled.
  const most = columns - 1;
  let count = parts.length;
  while (count > 1 && parts.slice(0, count).join("  ").length > most) count--;
  return parts.slice(0, count).join("  ").slice(0, Math.max(0, most));
}

// The end of a progress line, and the colours of a strip.
// deno-lint-ignore no-control-regex -- the codes that commands print
const OWN_CODES = /(\r\x1b\[K|\x1b\[(?:0|48;5;\d+;38;5;\d+)m)/;

/**
 * What goes to a terminal: whatever a text quotes (names of files and columns, texts, models' output), no control
 * character reaches the terminal but those of the commands themselves.
 */
export function withoutForeignCodes(text: string): string {
  return text.split(OWN_CODES).map((part, i) => i % 2 === 1 ? part : printable(part)).join("");
}

/**
 * A text that is safe to print: control characters, except tabs and line breaks, and characters that change the writing
 * direction are replaced by dots.
 */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu,
    (letter) => letter === "\n" || letter === "\t" ? letter : "·",
  );
}

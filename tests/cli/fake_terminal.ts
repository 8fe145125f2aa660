/** A terminal that keeps what is written. */
import type { Terminal } from "../../cli/terminal.ts";

/** What a command wrote. */
export class FakeTerminal implements Terminal {
  #out = "";
  #err = "";

  /** Whether the reader has left; for the test to say. */
  closed = false;

  /**
   * @param interactive Whether to claim that a person watches.
   * @param columns Of the screen.
   */
  constructor(readonly interactive = false, readonly columns = Infinity) {}

  /** Standard output so far. */
  get stdout(): string {
    return this.#out;
  }

  /** Standard error so far. */
  get stderr(): string {
    return this.#err;
  }

  /** The objects of `--json`. */
  get events(): Record<string, unknown>[] {
    return this.#out.trim().split("\n").filter(Boolean).map((line) => JSON.parse(line));
  }

  out(text: string): void {
    this.#out += text;
  }

  err(text: string): void {
    this.#err += text;
  }
}

/** A terminal whose reader leaves once a text was said so many times, which stops a command as Ctrl-C does. */
export class LeavingTerminal extends FakeTerminal {
  constructor(readonly needle: string, readonly times: number) {
    super();
  }

  override out(text: string): void {
    super.out(text);
    this.closed = this.stdout.split(this.needle).length > this.times;
  }
}

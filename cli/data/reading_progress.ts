/** Progress messages while a long text is read. */
import { formatCount } from "../progress.ts";

const EVERY_MS = 5000;

/** What is shown. */
export interface ReadingProgress {
  /** The activity, such as `preparing corpus.jsonl`. */
  readonly what: string;
  /** Bytes in all; 0 if unknown. */
  readonly total: number;
  /** Receives the messages. */
  readonly note?: (line: string) => void;
  /** The clock in milliseconds. */
  readonly now?: () => number;
}

/** A listener that receives the number of bytes read, and prints a message from time to time. */
export function readingProgress(
  { what, total, note = () => {}, now = () => performance.now() }: ReadingProgress,
): (bytes: number) => void {
  const began = now();
  let shown = began;
  return (bytes) => {
    if (now() - shown < EVERY_MS) return;
    shown = now();
    const speed = bytes / 1e6 / ((shown - began) / 1000);
    const of = total > 0
      ? ` of ${formatCount(total / 1e6)} MB (${Math.min(100, Math.floor(100 * bytes / total))}%)`
      : " MB";
    note(`${what}: ${formatCount(bytes / 1e6)}${of}, ${speed.toFixed(1)} MB/s`);
  };
}

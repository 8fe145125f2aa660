/**
 * Records and rows while files are read: what becomes of those that have no text or cannot be understood, and how many
 * there were.
 */
import { UsageError } from "../errors.ts";
import { formatCount } from "../progress.ts";

/** What was read. */
export interface ReadFacts {
  readonly files: number;
  /** Records and rows, those left out among them; 0 of plain text. */
  readonly rows: number;
  /** Those left out because they have no text. */
  readonly withoutText: number;
  /** Those left out because they cannot be understood. */
  readonly badRows: number;
  /** What is wrong with the first of those. */
  readonly firstBad?: string;
}

/** What a file says that was read, if it says so. */
export function readFactsOf(stored: unknown): ReadFacts | undefined {
  const { files, rows, withoutText, badRows, firstBad } = (stored ?? {}) as Partial<ReadFacts>;
  const counts = { files, rows, withoutText, badRows };
  if (!Object.values(counts).every((count) => Number.isSafeInteger(count))) return undefined;
  return { ...counts as Omit<ReadFacts, "firstBad">, ...typeof firstBad === "string" ? { firstBad } : {} };
}

/** Counts what is read, and decides about bad rows. */
export class RowTally {
  readonly #skipsBad: boolean;
  readonly #remarks: string[] = [];
  files = 0;
  rows = 0;
  withoutText = 0;
  badRows = 0;
  firstBad: string | undefined;

  /** @param skipsBad Whether rows that cannot be understood are left out. */
  constructor(skipsBad = false) {
    this.#skipsBad = skipsBad;
  }

  /** A row cannot be understood. @throws {UsageError} unless such rows are left out. */
  bad(message: string): void {
    if (!this.#skipsBad) throw new UsageError(message);
    this.badRows++;
    this.firstBad ??= message.split(": ")[0];
  }

  /** Something that whoever reads should hear. */
  remark(line: string): void {
    this.#remarks.push(line);
  }

  /** What was remarked so far. */
  get remarks(): readonly string[] {
    return this.#remarks;
  }

  /** What was read so far. */
  get facts(): ReadFacts {
    const { files, rows, withoutText, badRows, firstBad } = this;
    return { files, rows, withoutText, badRows, ...firstBad === undefined ? {} : { firstBad } };
  }
}

/** What was read where files are plain text. */
export function plainFacts(files: number): ReadFacts {
  return { files, rows: 0, withoutText: 0, badRows: 0 };
}

/** What was read as a line for people. @param documents How many documents there are, if that is known. */
export function describeRead(
  place: string,
  read: ReadFacts | undefined,
  { documents, bytes }: { documents?: number; bytes: number },
): string {
  const count = (n: number, one: string): string => `${formatCount(n)} ${one}${n === 1 ? "" : "s"}`;
  const left: string[] = [];
  if (read && read.withoutText > 0) left.push(`${count(read.withoutText, "record")} without a text left out`);
  if (read && read.badRows > 0) left.push(`${count(read.badRows, "bad row")} left out (the first: ${read.firstBad})`);
  const parts = [
    ...read && read.files > 0 ? [count(read.files, "file")] : [],
    ...read && read.rows > 0 ? [count(read.rows, "record")] : [],
    ...left,
    ...documents === undefined ? [] : [count(documents, "document")],
    count(bytes, "byte"),
  ];
  return `read ${place}: ${parts.join(", ")}`;
}

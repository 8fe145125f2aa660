/** JSON Lines: one record a line. */
import { UsageError } from "../errors.ts";

// A longer line is no record of a text but a file of another format, and would fill the memory.
const LONGEST_LINE = 2 ** 28;

/** The lines of a text that comes in pieces, without their ends. */
async function* lines(text: AsyncIterable<string>, path: string): AsyncGenerator<string> {
  let open: string[] = [], length = 0;
  for await (const piece of text) {
    const parts = piece.split("\n");
    for (const part of parts.slice(0, -1)) {
      yield [...open, part].join("");
      open = [];
      length = 0;
    }
    const rest = parts[parts.length - 1];
    open.push(rest);
    length += rest.length;
    if (length > LONGEST_LINE) {
      throw new UsageError(`${path} has a line of more than ${LONGEST_LINE} letters: it is no JSONL file; say what it is with --format`);
    }
  }
  yield open.join("");
}

/**
 * The texts of the records of a JSONL file. Empty lines are skipped.
 * @param bytes The file.
 * @param path For error texts.
 * @param field The records' field that holds the text.
 * @throws {UsageError} naming the line, if it is no JSON object or its field is no text.
 */
export async function* readJsonl(bytes: AsyncIterable<Uint8Array>, path: string, field: string): AsyncGenerator<string> {
  let number = 0;
  for await (const line of lines(decode(bytes), path)) {
    number++;
    if (line.trim() === "") continue;
    yield textOf(line, field, `${path} line ${number}`);
  }
}

function textOf(line: string, field: string, where: string): string {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch (cause) {
    throw new UsageError(`${where} is not valid JSON: each line must be one record such as {"${field}": "..."}`, { cause });
  }
  if (typeof record !== "object" || record === null || Array.isArray(record)) {
    throw new UsageError(`${where} is no JSON object: each line must be one record such as {"${field}": "..."}`);
  }
  const text = Object.hasOwn(record, field) ? (record as Record<string, unknown>)[field] : undefined;
  if (typeof text === "string") return text;
  const fields = Object.keys(record).slice(0, 10).join(", ");
  throw new UsageError(`${where} has no text in its field ${field}: say which field holds the text with --field NAME (there are ${fields || "none"})`);
}

/** UTF-8 in pieces as text in pieces. */
export async function* decode(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const piece of bytes) yield decoder.decode(piece, { stream: true });
  yield decoder.decode();
}

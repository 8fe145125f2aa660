/** Reads JSON Lines: one record per line. */
import { type FieldTemplate, parseField, valueText } from "./field.ts";
import { decodeUtf8, LineSplitter } from "./lines.ts";
import { RowTally } from "./rows.ts";

/**
 * The texts of the records of a JSON Lines file. Empty lines are skipped, and so are records whose field is null, which
 * means that there is no text.
 * @param bytes The file.
 * @param path The path, for error messages.
 * @param field The fields that form the text: see {@link parseField}.
 * @param tally Counts the records, and decides whether bad ones are skipped.
 * @throws {UsageError} naming the line, if it is not a JSON object or its field is not text.
 */
export async function* readJsonl(
  bytes: AsyncIterable<Uint8Array>,
  path: string,
  field: string,
  tally: RowTally = new RowTally(),
): AsyncGenerator<string> {
  const lines = new LineSplitter(path), template = parseField(field);
  let number = 0;
  const textsOf = function* (found: readonly Uint8Array[]): Generator<string> {
    for (const line of found) {
      const text = textOf(line, { template, where: `${path} line ${++number}`, tally });
      if (text !== undefined) yield text;
    }
  };
  for await (const piece of bytes) yield* textsOf(lines.next(piece));
  yield* textsOf(lines.end());
}

interface LineReading {
  readonly template: FieldTemplate;
  readonly where: string;
  readonly tally: RowTally;
}

function textOf(bytes: Uint8Array, { template, where, tally }: LineReading): string | undefined {
  const line = decodeUtf8(bytes), example = `each line must be one record such as {"${template.names[0]}": "..."}`;
  if (line?.trim() === "") return undefined;
  tally.rows++;
  if (line === undefined) {
    return bad(tally, `${where} is not valid UTF-8: convert the file, from Latin-1 with iconv -f LATIN1 -t UTF-8`);
  }
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch {
    return bad(tally, `${where} is not valid JSON: ${example}`);
  }
  if (Array.isArray(record)) {
    return bad(tally, `${where} is not a JSON object: ${example}; jq -c '.[]' converts an array`);
  }
  if (typeof record !== "object" || record === null) return bad(tally, `${where} is not a JSON object: ${example}`);
  const values: (string | undefined)[] = [];
  for (const name of template.names) {
    const text = Object.hasOwn(record, name) ? valueText((record as Record<string, unknown>)[name], template) : null;
    if (text === null) {
      const fields = Object.keys(record).slice(0, 10).map(shortName).join(", ");
      return bad(
        tally,
        `${where} has no text in its field ${name}: choose the text field with --field NAME (there are ${
          fields || "none"
        })`,
      );
    }
    values.push(text);
  }
  const text = template.fill(values);
  if (text === undefined) tally.withoutText++;
  return text;
}

function bad(tally: RowTally, message: string): undefined {
  tally.bad(message);
  return undefined;
}

/** The name of a field or column for an error message, shortened and without control characters. */
export function shortName(name: string): string {
  // deno-lint-ignore no-control-regex -- control characters must not reach the terminal
  const plain = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/.test(name)
    ? JSON.stringify(name).slice(1, -1).replace(/[\x7f-\x9f\u2028\u2029]/g, "?")
    : name;
  return plain.length > 40 ? `${plain.slice(0, 40)}...` : plain;
}

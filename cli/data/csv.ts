/** Tables of comma-separated values, the first row of which names the columns (RFC 4180). */
import { UsageError } from "../errors.ts";
import { decode } from "./jsonl.ts";
import { loadCsv } from "./packages.ts";

/**
 * The texts of one column.
 * @param bytes The file.
 * @param path For error texts.
 * @param column The column's name.
 * @throws {UsageError} if there is no such column or the file is malformed, naming the row.
 */
export async function* readCsv(bytes: AsyncIterable<Uint8Array>, path: string, column: string): AsyncGenerator<string> {
  const CsvParseStream = await loadCsv();
  const rows = ReadableStream.from(decode(bytes)).pipeThrough(new CsvParseStream());
  let columns: readonly string[] | undefined, index = -1, number = 0;
  try {
    for await (const row of rows) {
      number++;
      if (columns) {
        if (row.length !== columns.length) {
          throw new UsageError(`${path} row ${number} has ${row.length} fields and its first row has ${columns.length}: quote fields that hold commas`);
        }
        yield row[index];
        continue;
      }
      columns = row.map((name) => name.replace(/^\ufeff/, ""));
      index = columns.indexOf(column);
      if (index < 0) {
        throw new UsageError(
          `${path} has no column ${column}: say which column holds the text with --field NAME (there are ${columns.slice(0, 20).join(", ")})`,
        );
      }
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new UsageError(`${path} is no valid CSV: ${error.message}; quote fields that hold quotes, and double the quotes in them`, { cause: error });
  }
}

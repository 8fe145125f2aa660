/**
 * Tests on real data, which lies outside the project: in the folder that the variable MNEME_DATA names. Without it they
 * do not exist; `deno task test:data` runs them.
 */
import { gunzip, readPieces } from "../../cli/data/read_file.ts";

const FOLDER: string | undefined = Deno.env.get("MNEME_DATA");

/** A test that reads the data. */
export function withData(name: string, run: () => Promise<void>): void {
  if (FOLDER !== undefined) Deno.test(name, run);
}

/** What a file of it holds, unpacked; archives too, which commands refuse. @param name Without `.gz`. */
export async function readData(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const path = `${FOLDER}/${name}.gz`, pieces: BlobPart[] = [];
  for await (const piece of gunzip(readPieces(path, "other"), path, "other")) pieces.push(piece.slice());
  return await new Blob(pieces).bytes();
}

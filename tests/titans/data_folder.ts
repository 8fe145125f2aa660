/**
 * Tests on real data, which lies outside the project: in the folder that the variable MNEME_DATA names. Without it they
 * do not exist; `deno task test:data` runs them.
 */
import { wholeFile } from "../../cli/task_files.ts";

const FOLDER: string | undefined = Deno.env.get("MNEME_DATA");

/** A test that reads the data. */
export function withData(name: string, run: () => Promise<void>): void {
  if (FOLDER !== undefined) Deno.test(name, run);
}

/** What a file of it holds, unpacked. @param name Without `.gz`. */
export async function readData(name: string): Promise<Uint8Array<ArrayBuffer>> {
  return await wholeFile(`${FOLDER}/${name}.gz`);
}

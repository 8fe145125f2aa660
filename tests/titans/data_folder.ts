/** Tests on real data, which lies outside the project: in the folder that the variable MNEME_DATA names. */
import { unpacked } from "../../cli/task_files.ts";

/** The folder; undefined if the variable is not set. */
export const DATA_FOLDER: string | undefined = Deno.env.get("MNEME_DATA");

/** A test that reads the data; ignored, which its name says, where there is none. */
export function withData(name: string, run: () => Promise<void>): void {
  Deno.test(
    DATA_FOLDER === undefined ? `${name} (needs MNEME_DATA)` : name,
    { ignore: DATA_FOLDER === undefined },
    run,
  );
}

/** What a file of it holds, unpacked. @param name Without `.gz`. */
export async function readData(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const path = `${DATA_FOLDER}/${name}.gz`;
  return await unpacked(await Deno.readFile(path), path);
}

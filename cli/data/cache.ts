/**
 * The cache folder for prepared texts and downloads. Its contents can be rebuilt, so it can be deleted when no run
 * needs it.
 */
import { CommandError, WriteError } from "../errors.ts";
import { reasonOf } from "../files.ts";

/** Default cache folder: below the only folder that the tasks may write to. */
export const CACHE = "runs/.cache";

/** Runs something that writes to the cache; if it fails, the error says what to do. */
export async function writing<T>(folder: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    // The message names the folder and the flag; the file is irrelevant.
    const cause = error instanceof WriteError ? error.cause ?? error : error;
    if (!(cause instanceof Error) || cause instanceof Deno.errors.NotCapable) throw cause;
    throw new CommandError(
      `cannot write to the data cache ${folder}: ${reasonOf(cause)}, or choose another folder with --cache DIR`,
      { cause },
    );
  }
}

/**
 * The cache folder: prepared texts and downloads. Whatever is in it can be made again, so it may be deleted when no run
 * needs it.
 */
import { CommandError, WriteError } from "../errors.ts";
import { reasonOf } from "../files.ts";

/** Where the cache is unless said otherwise: below the one folder that the tasks may write to. */
export const CACHE = "runs/.cache";

/** Does something that writes to the cache, and says what to do if it fails. */
export async function writing<T>(folder: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    // What is said here names the folder and the flag: the file in it is of no interest.
    const cause = error instanceof WriteError ? error.cause ?? error : error;
    if (!(cause instanceof Error) || cause instanceof Deno.errors.NotCapable) throw cause;
    throw new CommandError(
      `cannot write to the data cache ${folder}: ${reasonOf(cause)}, or choose another folder with --cache DIR`,
      { cause },
    );
  }
}

/** How this program is invoked: as a task in a checkout, or as an executable once it is compiled. */

/** Whether this is the executable built by `deno task compile`. */
export const STANDALONE: boolean = Deno.build.standalone;

/**
 * Rewrites the tasks in a text as commands of the executable, whose users have no tasks.
 * @param text Such as `continue with: deno task train --resume`.
 * @param standalone Whether the reader runs the executable.
 */
export function asCalled(text: string, standalone: boolean = STANDALONE): string {
  // Tasks that need the source code remain tasks.
  return standalone
    ? text.replaceAll(/deno task (?!(?:study|bench|compile|test)\b|\w+:(?:mpi|cluster)\b)/g, "mneme ")
    : text;
}

/** Quotes a word for a shell, for commands that users copy. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * Drops the executable's network permission, for commands that do not need it. In a checkout the tasks define the
 * permissions.
 */
export function giveBackNetwork(): void {
  if (STANDALONE) Deno.permissions.revokeSync({ name: "net" });
}

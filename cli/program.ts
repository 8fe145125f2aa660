/** What this program is called: a task in a checkout, a command of its own once it is compiled. */

/** Whether this is the executable that `deno task compile` makes. */
export const STANDALONE: boolean = Deno.build.standalone;

/**
 * A text that names commands by their tasks, as its reader has to type them: the executable's user has no tasks.
 * @param text Such as `continue with: deno task train --resume`.
 * @param standalone Whether the reader runs the executable.
 */
export function asCalled(text: string, standalone: boolean = STANDALONE): string {
  // What needs the sources stays a task.
  return standalone ? text.replaceAll(/deno task (?!(?:bench|compile|test)\b)/g, "mneme ") : text;
}

/** A word as a shell takes it: what stands in a command to copy. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * Gives the executable's permission to use the network back, for commands that do without. In a checkout the tasks say
 * what is permitted.
 */
export function giveBackNetwork(): void {
  if (STANDALONE) Deno.permissions.revokeSync({ name: "net" });
}

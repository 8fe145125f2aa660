/** Options that are lists, written in one line: `512,1024,2048`. */
import { ConfigError } from "../errors.ts";

/**
 * The whole numbers of a list.
 * @param option Its name, and from which number to which each may go.
 * @throws {ConfigError} naming the option and the entry that cannot be.
 */
export function numbersOf(
  text: string,
  { option, min, max }: { readonly option: string; readonly min: number; readonly max: number },
): number[] {
  return entriesOf(text).map((entry) => {
    const value = Number(entry);
    if (/^\d+$/.test(entry) && value >= min && value <= max) return value;
    throw new ConfigError(
      `Cannot use ${option} ${JSON.stringify(text)}: ${JSON.stringify(entry)} must be an integer from ${min} to ${max}`,
      option,
    );
  });
}

/** The entries between commas; none of an empty text. */
export function entriesOf(text: string): string[] {
  return text.trim() === "" ? [] : text.split(",").map((entry) => entry.trim());
}

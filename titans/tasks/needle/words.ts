/** Keys of needles: `quiet-river`, an adjective and a noun of a small list, or of files. */
import { ConfigError } from "../../errors.ts";
import type { TaskFile } from "../task.ts";

/** Words that keys are made of. */
export interface KeyWords {
  readonly first: readonly string[];
  readonly second: readonly string[];
}

/** The built-in words. */
export const KEY_WORDS: KeyWords = {
  first: ("amber bold brisk calm clever cold curly deep eager fair fresh gentle golden green happy hidden light loud " +
    "mellow narrow noble old pale plain proud quick quiet rapid red round rusty sharp shy silver slow small soft " +
    "sunny tall warm wide wild").split(" "),
  second:
    ("apple barn beach bell bird boat bridge brook cabin canyon castle cedar cliff cloud coast door eagle field " +
      "forest fox garden harbor hill horse island lake lamp lion maple market meadow mill moon mountain oak ocean otter " +
      "owl path pine pond rabbit river road rose ship stone storm tower town tree valley village wagon well whale " +
      "willow window wolf wren").split(" "),
};

/** Words of files, a word a line: adjectives and nouns of two files, or both of one. @throws {ConfigError} */
export function keyWordsOf(files: readonly TaskFile[]): KeyWords {
  const lists = files.map(({ name, bytes }) => {
    const words = new TextDecoder().decode(bytes).split(/\r?\n/).map((word) => word.trim()).filter((word) =>
      word !== ""
    );
    const odd = words.find((word) => !/^[\p{L}\d'_-]+$/u.test(word));
    if (words.length > 0 && odd === undefined) return words;
    // A file of another kind has lines of any length.
    const found = odd === undefined ? "it has no words" : `${JSON.stringify(odd.slice(0, 40))} is not one`;
    throw new ConfigError(`Cannot use the words of ${name}: ${found}; give a file with one word per line`, "words");
  });
  if (lists.length === 0 || lists.length > 2) {
    throw new ConfigError(`Cannot use words of ${lists.length} files: give one, or two, adjectives and nouns`, "words");
  }
  return { first: lists[0], second: lists.at(-1)! };
}

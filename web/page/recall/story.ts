/** What the model reads on the recall page: words, a fact, more words, and a question about the fact. */

/** What a visitor chose. */
export interface Fact {
  /** What the fact is about: one to twenty characters of a line. */
  readonly name: string;
  /** What it says: a capital letter or a digit. */
  readonly value: string;
  /** How often it is told, one time after the other. */
  readonly tellings: number;
  /** Bytes of other text between fact and question, about. */
  readonly distance: number;
}

/** The characters that a fact can say: what the model was trained on. */
export const VALUES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const LONGEST_NAME = 20;
/** Bytes of text before the fact. */
const OPENING = 160;

/** A part of a story. Its bytes go from `start` to before `end`. */
export interface Part {
  readonly kind: "text" | "fact" | "question";
  readonly start: number;
  readonly end: number;
}

/** A text to read. All of it is ASCII: a character is a byte. */
export interface Story {
  readonly text: string;
  readonly parts: readonly Part[];
  /** What is asked at the end, and at any other place. */
  readonly question: string;
  readonly answer: string;
}

/** What is wrong with a fact, in a line; undefined if nothing is. */
export function problemOf({ name, value }: Fact): string | undefined {
  if (!/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(name)) {
    return "The fact needs a name of letters, digits and signs of English, such as “the key”.";
  }
  if (name.length > LONGEST_NAME) return `The name has ${name.length} characters; it can have ${LONGEST_NAME}.`;
  if (/[:.]/.test(name)) return "The name cannot contain a colon or a full stop: they end a name and a fact.";
  if (value.length !== 1 || !VALUES.includes(value)) return "The fact must say a capital letter or a digit.";
  return undefined;
}

/** The beginning of a text up to the end of a word, about so many characters. */
function words(text: string, from: number, count: number): string {
  if (count <= 0) return "";
  const end = text.indexOf(" ", from + count - 1);
  return text.slice(from, end < 0 ? text.length : end + 1);
}

/**
 * The text to read.
 * @param fact What a visitor chose; without problems.
 * @param filler Long enough for the distance; line breaks and what is not ASCII become spaces.
 */
export function storyOf({ name, value, tellings, distance }: Fact, filler: string): Story {
  const plain = filler.replaceAll(/[^\x21-\x7e]+/g, " ").trimStart();
  const opening = words(plain, 0, OPENING), between = words(plain, opening.length, distance);
  const question = `${name}: `;
  const pieces: readonly (readonly [Part["kind"], string])[] = [
    ["text", opening],
    ["fact", `${question}${value}. `.repeat(tellings)],
    ["text", between],
    ["question", question],
  ];
  let text = "";
  const parts = pieces.map(([kind, piece]): Part => {
    const start = text.length;
    text += piece;
    return { kind, start, end: text.length };
  });
  return { text, parts: parts.filter(({ start, end }) => end > start), question, answer: value };
}

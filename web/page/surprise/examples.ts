/** Texts to begin with on the surprise tab. */

/** A text and what it is called in the list. */
export interface Example {
  readonly title: string;
  readonly text: string;
}

/** The texts; the first is read when the tab is opened. */
export const EXAMPLES: readonly Example[] = [
  {
    title: "facts, told and asked again",
    text: "The red door: B. The red door: B. My bus: 7. My bus: 7. The night train: M. The night train: M. " +
      "It rained all day, and the streets were empty. The red door: B. My bus: 7. The night train: M. " +
      "The red door: B. My bus: 4.",
  },
  {
    title: "a sentence, four times",
    text: "The old clock in the hall struck nine. ".repeat(4).trim(),
  },
  {
    title: "George Washington, 1790",
    text:
      "I embrace with great satisfaction the opportunity which now presents itself of congratulating you on the present " +
      "favorable prospects of our public affairs. The recent accession of the important state of North Carolina to the " +
      "Constitution of the United States, the rising credit and respectability of our country, the general and " +
      "increasing good will toward the government of the Union, and the concord, peace, and plenty with which we are " +
      "blessed are circumstances auspicious in an eminent degree to our national prosperity.",
  },
  {
    title: "scripts that it has never seen",
    text: "The key: Q. Ключ: Я. Ключ: Я. 鍵：あ。鍵：あ。 The key: Q. Ключ: Я. 鍵：あ。",
  },
];

/**
 * The texts to choose from. All are in the public domain: three addresses by presidents of the United States, and one
 * that is generated.
 */

/** A text to choose from. */
export interface OfferedText {
  readonly title: string;
  /** What to look for in it. */
  readonly note: string;
  /** Loads it. @throws {Error} if it cannot be loaded from the server of this page. */
  load(): Promise<string>;
}

/** The texts to choose from; the first is the default. */
export const TEXTS: readonly OfferedText[] = [
  {
    title: "Who keeps what (generated)",
    note: "Each paragraph assigns things to people and then asks for them, so it pays to remember what was said.",
    load: () => Promise.resolve(recallText(400, 7)),
  },
  fromFile("George Washington, first annual address, 1790", "washington_1790.txt"),
  fromFile("Abraham Lincoln, end of the second annual message, 1862", "lincoln_1862.txt"),
  fromFile("Franklin D. Roosevelt, annual message, 1941", "roosevelt_1941.txt"),
];

function fromFile(title: string, name: string): OfferedText {
  return {
    title,
    note: "In the public domain.",
    load: async () => {
      const response = await fetch(`texts/${name}`);
      if (!response.ok) {
        throw new Error(
          `Cannot load ${name}: the server responded with status ${response.status}; choose another text or paste one`,
        );
      }
      return await response.text();
    },
  };
}

const PEOPLE = ["Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana", "Ida", "Jon"];
const THINGS = ["lamp", "rope", "coin", "drum", "kite", "bell", "comb", "vase", "nail", "map"];
const COLOURS = ["red", "blue", "green", "white", "black", "golden"];

/**
 * Paragraphs that say who keeps what, and ask in another order.
 * @param paragraphs How many.
 * @param seed Same seed, same text.
 */
export function recallText(paragraphs: number, seed: number): string {
  let state = seed;
  const next = (below: number): number => {
    state = state * 48271 % 2147483647;
    return state % below;
  };
  const draw = (words: readonly string[], count: number): string[] => {
    const rest = [...words];
    return Array.from({ length: count }, () => rest.splice(next(rest.length), 1)[0]);
  };
  return Array.from({ length: paragraphs }, () => {
    const people = draw(PEOPLE, 3),
      things = draw(THINGS, 3).map((thing) => `${COLOURS[next(COLOURS.length)]} ${thing}`);
    const told = people.map((person, i) => `${person} keeps the ${things[i]}.`);
    const asked = draw(["0", "1", "2"], 3).map(Number).map((i) => `What does ${people[i]} keep? The ${things[i]}.`);
    return [...told, ...asked].join(" ");
  }).join("\n");
}

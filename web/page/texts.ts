/**
 * The texts on offer. All are in the public domain: three addresses of presidents of the United States, and one that is
 * made here.
 */

/** A text on offer. */
export interface OfferedText {
  readonly title: string;
  /** What there is to see in it. */
  readonly note: string;
  /** Gives it. @throws {Error} if it cannot be fetched from the server of this page. */
  load(): Promise<string>;
}

/** The texts on offer; the first is chosen at the beginning. */
export const TEXTS: readonly OfferedText[] = [
  {
    title: "Who keeps what (made up)",
    note:
      "Each paragraph hands out things to people and then asks for them: what was said a moment ago is worth remembering.",
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
        throw new Error(`Cannot load ${name}: the server answers ${response.status}; choose another text or paste one`);
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

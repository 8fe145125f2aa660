/**
 * Text for a task of memory: facts between other words, repeated again and again. A model that remembers a fact knows
 * how its line ends.
 *
 *     fellow citizens of town: Q. the Senate and town: Q. of the House ...
 *
 * What makes it learnable is its range. Half of the documents have one fact, which is learned first, as knowing the
 * last one is enough; the others have up to four, where one must know which. In half of them facts stand close to each
 * other, between words that mean nothing; in the other half they stand far apart in real English, the addresses on the
 * State of the Union.
 *
 *     deno run --allow-read examples/recall_text.ts > runs/recall.txt                          to train on
 *     deno run --allow-read examples/recall_text.ts "town: Q." 4000 300 > runs/planted.txt     to read: 4,000 bytes, the fact, 300 bytes
 *
 * Texts to read are from the last 5% of the addresses, texts to train on from the rest.
 */
import { stateOfTheUnion } from "../cli/sotu.ts";
import { HostRng } from "../titans/nn/host_rng.ts";

/** What facts are about. */
export const NAMES: readonly string[] = ["town", "bell", "road", "gate"];
/** What they say. */
export const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

const DOCUMENTS = 2000, DOCUMENT_BYTES = 4096;
/** What stands between facts where it is not English, in any order: nothing to learn here but facts. */
const WORDS =
  "the a of and to in it was on his her with that for they we all from one by old new sea sky hill tree road rain wind stone river light house"
    .split(" ");
/** How many facts a document has; each of these is as likely. */
const FACTS = [1, 1, 2, 4];
/** Words between two tellings, the mean of a document: log-uniform between these. */
const BETWEEN = { plain: [0.3, 5], english: [5, 80] };
const HELD_OUT = 0.05;

/** Words of the addresses: to train on, and to test with. */
export async function addresses(): Promise<{ readonly train: readonly string[]; readonly heldOut: readonly string[] }> {
  const text = new TextDecoder().decode(await stateOfTheUnion());
  const words = text.split(/[^\x21-\x7e]+/).filter((word) => word !== ""),
    end = Math.floor(words.length * (1 - HELD_OUT));
  return { train: words.slice(0, end), heldOut: words.slice(end) };
}

/** Words from a place on, with a space behind each, until there are at least so many bytes. */
export function passage(words: readonly string[], start: number, bytes: number): string {
  let text = "";
  for (let i = start; text.length < bytes; i++) text += `${words[i % words.length]} `;
  return text;
}

/** Draws documents, one after the other. */
class Documents {
  #words: readonly string[];
  #rng = new HostRng(1, "recall");
  #drawn = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  #uniform(): number {
    return this.#rng.uniform(this.#drawn++);
  }

  #integer(bound: number): number {
    return Math.floor(this.#uniform() * bound);
  }

  /** A document of its own facts, as long as all others. */
  next(): string {
    const facts = NAMES.map((name) => `${name}: ${LETTERS[this.#integer(LETTERS.length)]}. `);
    const count = FACTS[this.#integer(FACTS.length)], first = this.#integer(NAMES.length);
    const english = this.#integer(2) === 1,
      [fewest, most] = english ? BETWEEN.english : BETWEEN.plain,
      between = fewest * (most / fewest) ** this.#uniform();
    let at = this.#integer(this.#words.length), text = "";
    const word = (): string => english ? this.#words[at++ % this.#words.length] : WORDS[this.#integer(WORDS.length)];
    while (text.length < DOCUMENT_BYTES) {
      for (let i = Math.floor(this.#uniform() * 2 * (between + 1)); i > 0; i--) text += `${word()} `;
      text += facts[(first + this.#integer(count)) % NAMES.length];
    }
    return `${text.slice(0, DOCUMENT_BYTES - 1)}\n`;
  }
}

function write(text: string): void {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}

if (import.meta.main) {
  const { train, heldOut } = await addresses();
  const [fact, before, after] = Deno.args;
  if (fact === undefined) {
    const documents = new Documents(train);
    for (let i = 0; i < DOCUMENTS; i++) write(documents.next());
  } else {
    const bytes = [Number(before ?? 4000), Number(after ?? 300)];
    if (!bytes.every((count) => Number.isInteger(count) && count >= 0)) {
      console.error("error: bytes before and after the fact must be whole numbers: recall_text.ts FACT 4000 300");
      Deno.exit(2);
    }
    const head = passage(heldOut, 0, bytes[0]), rest = passage(heldOut, head.split(" ").length - 1, bytes[1]);
    write(`${head}${fact} ${rest}`);
  }
}

/**
 * Facts about anything, told again and again between other words: what the model of `models/recall/` learns from.
 *
 *     deno run --allow-read models/recall_text.ts > runs/recall.txt
 *
 * A fact is `name: V. `, the name a word of English or letters drawn at random, V a capital letter or a digit. A
 * document has one, two or four of them, between invented words or real English.
 */
import { addresses } from "../examples/recall_text.ts";
import { HostRng } from "../titans/nn/host_rng.ts";

/** What facts say. */
const VALUES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const DOCUMENTS = 3000, DOCUMENT_BYTES = 4096;
/** Words that stand between facts where it is not English. */
const WORDS =
  "the a of and to in it was on his her with that for they we all from one by old new sea sky hill tree road rain wind stone river light house"
    .split(" ");
/** How many facts a document has; each of these is as likely. */
const FACTS = [1, 1, 2, 4];
/** Words between two tellings, the mean of a document: log-uniform between these. */
const BETWEEN = { plain: [0.3, 5], english: [5, 150] } as const;
/** Draws documents, one after the other. */
class Documents {
  readonly #words: readonly string[];
  readonly #names: readonly string[];
  readonly #rng = new HostRng(1, "recall");
  #drawn = 0;
  #at = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
    this.#names = [...new Set(words.filter((word) => /^[a-z]{3,9}$/.test(word)))];
  }

  #uniform(): number {
    return this.#rng.uniform(this.#drawn++);
  }

  #integer(bound: number): number {
    return Math.floor(this.#uniform() * bound);
  }

  #one<T>(from: ArrayLike<T>): T {
    return from[this.#integer(from.length)];
  }

  #logUniform([least, most]: readonly [number, number]): number {
    return least * (most / least) ** this.#uniform();
  }

  #fact(): string {
    const letters = (count: number): string =>
      Array.from({ length: count }, () => String.fromCharCode(97 + this.#integer(26))).join("");
    const name = this.#integer(3) === 0 ? letters(3 + this.#integer(5)) : this.#one(this.#names);
    return `${name}: ${this.#one(VALUES)}. `;
  }

  /** The next word of the addresses, or any of {@link WORDS}. */
  #word(english: boolean): string {
    return `${english ? this.#words[this.#at++ % this.#words.length] : this.#one(WORDS)} `;
  }

  /** A document. */
  next(): string {
    const count = this.#one(FACTS), english = this.#integer(2) === 1;
    const facts = Array.from({ length: count }, () => this.#fact());
    const between = this.#logUniform(english ? BETWEEN.english : BETWEEN.plain);
    this.#at = this.#integer(this.#words.length);
    let text = "";
    while (text.length < DOCUMENT_BYTES) {
      for (let i = Math.floor(this.#uniform() * 2 * (between + 1)); i > 0; i--) text += this.#word(english);
      text += this.#one(facts);
    }
    return `${text.slice(0, DOCUMENT_BYTES - 1)}\n`;
  }
}

if (import.meta.main) {
  const documents = new Documents((await addresses()).train), encoder = new TextEncoder();
  for (let i = 0; i < DOCUMENTS; i++) {
    let bytes = encoder.encode(documents.next());
    while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
  }
}

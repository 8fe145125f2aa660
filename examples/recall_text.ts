/**
 * Text for a task of memory: in each document a few facts, told again and again between other words. Whoever remembers a fact knows how its sentence ends.
 *
 *     one town is c. old road code is k. town is c. ...
 *
 * Usage: deno run examples/recall_text.ts [documents] [bytes of a document] [seed] > recall.txt
 */
import { HostRng } from "../titans/host_rng.ts";

const WORDS = "the a of and to in it was on his her with that for they we all from one by old new sea sky hill tree road rain wind stone river light house"
  .split(" ");
const NAMES = ["code", "name", "town", "door"];
const LETTERS = "abcdefghijklmnopqrstuvwxyz";

/** Words between sentences: at most two. Where facts are rarer, remembering takes longer to learn. */
const WORDS_BETWEEN = 3;

const [documents = 7500, bytes = 400, seed = 1] = Deno.args.map(Number);
const rng = new HostRng(seed, "recall");
let drawn = 0;
const integer = (bound: number): number => rng.integer(drawn++, bound);

/** A document of its size, with facts of its own. */
function document(): string {
  const values = NAMES.map(() => LETTERS[integer(LETTERS.length)]);
  let text = "";
  while (text.length < bytes) {
    for (let i = integer(WORDS_BETWEEN); i > 0; i--) text += `${WORDS[integer(WORDS.length)]} `;
    const fact = integer(NAMES.length);
    text += `${NAMES[fact]} is ${values[fact]}. `;
  }
  return `${text.slice(0, bytes - 1)}\n`;
}

const encoder = new TextEncoder();
for (let i = 0; i < documents; i++) {
  let text = encoder.encode(document());
  while (text.length > 0) text = text.subarray(Deno.stdout.writeSync(text));
}

/**
 * How often a fact is recalled: each letter of the alphabet is stated in a text that was not used for training, and
 * queried for later.
 *
 *     deno run --allow-read examples/recall_check.ts runs/recall [tellings] [bytes before the fact,...] [bytes after it,...] [texts]
 *
 * A table of how many of 26 letters are the likeliest one when asked for, mean over some texts; and the same for a
 * memory of the text without the fact, and for no memory at all.
 */
import { findCheckpoint } from "../cli/checkpoint_file.ts";
import { requestDevice } from "../kernels/mod.ts";
import { Decoder, type DecodeState, Model } from "../titans/mod.ts";
import { addresses, LETTERS, NAMES, passage } from "./recall_text.ts";

const [path, tellings = "2", beforeList = "0,1000,4000,10000", afterList = "0,300,1000,2000", texts = "2"] = Deno.args;
const numbers = (list: string): number[] => list.split(",").map(Number);
const BEFORE = numbers(beforeList), AFTER = numbers(afterList), TEXTS = Number(texts), TELLINGS = Number(tellings);
if (
  path === undefined || ![...BEFORE, ...AFTER, TEXTS, TELLINGS].every((count) => Number.isInteger(count) && count >= 0)
) {
  console.error("error: give a run folder and whole numbers: recall_check.ts runs/recall 2 0,4000 0,300,1000 1");
  Deno.exit(2);
}
/** Words between the beginnings of two texts. */
const WORDS_APART = 6000;

const { checkpoint } = await findCheckpoint(path), { heldOut } = await addresses();
const device = await requestDevice({ kind: "cpu" });
const model = new Model(checkpoint.config);
const decoder = await Decoder.create(device, model, model.layout.pack(checkpoint.state.params));

/** Reads on after a state, which is the caller's as before. */
async function read(text: string, state: DecodeState): Promise<DecodeState> {
  return (await decoder.prefill(new TextEncoder().encode(text), state)).state;
}

/** The likeliest letter after a question; the state stays as it is. */
async function answer(name: string, state: DecodeState): Promise<string> {
  const { logits, state: asked } = await decoder.prefill(new TextEncoder().encode(`${name}: `), state);
  asked.dispose();
  const of = (letter: string): number => logits[letter.charCodeAt(0)];
  return [...LETTERS].reduce((best, letter) => (of(letter) > of(best) ? letter : best));
}

/** Reads pieces one after the other, and shows the state after each. */
async function along(
  state: DecodeState,
  pieces: readonly string[],
  show: (state: DecodeState, index: number) => Promise<void>,
): Promise<void> {
  let at = state;
  for (const [i, piece] of pieces.entries()) {
    const next = piece === "" ? at : await read(piece, at);
    if (next !== at && at !== state) at.dispose();
    at = next;
    await show(at, i);
  }
  if (at !== state) at.dispose();
}

/** A name for each letter, not the same in each text. */
function nameOf(letter: string, text: number): string {
  return NAMES[(LETTERS.indexOf(letter) + text) % NAMES.length];
}

/** How many letters are answered if the answer does not depend on them. */
async function guessed(state: DecodeState, text: number): Promise<number> {
  const answers = new Map<string, string>();
  for (const name of NAMES) answers.set(name, await answer(name, state));
  return [...LETTERS].filter((letter) => answers.get(nameOf(letter, text)) === letter).length;
}

/** Letters that come back after each distance, the sum of all texts; and those that do if the fact is not told. */
async function row(before: number): Promise<{ readonly told: readonly number[]; readonly untold: readonly number[] }> {
  const told = AFTER.map(() => 0), untold = AFTER.map(() => 0);
  for (let text = 0; text < TEXTS; text++) {
    const start = text * WORDS_APART, head = passage(heldOut, start, before);
    const rest = passage(heldOut, start + head.split(" ").length - 1, Math.max(...AFTER));
    const pieces = AFTER.map((bytes, i) => rest.slice(place(rest, AFTER[i - 1] ?? 0), place(rest, bytes)));
    const base = head === "" ? decoder.start : await read(head, decoder.start);
    for (const letter of LETTERS) {
      const name = nameOf(letter, text), state = await read(`${name}: ${letter}. `.repeat(TELLINGS), base);
      await along(state, pieces, async (at, i) => void (told[i] += await answer(name, at) === letter ? 1 : 0));
      state.dispose();
    }
    await along(base, pieces, async (at, i) => void (untold[i] += await guessed(at, text)));
    if (base !== decoder.start) base.dispose();
  }
  return { told, untold };
}

/** The end of the first word that reaches so many bytes. */
function place(text: string, bytes: number): number {
  return bytes === 0 ? 0 : text.indexOf(" ", bytes - 1) + 1;
}

function print(title: string, cells: readonly string[]): void {
  console.log(title.padEnd(24) + cells.map((cell) => cell.padStart(8)).join(""));
}
const mean = (sums: readonly number[]): string[] => sums.map((sum) => (sum / TEXTS).toFixed(1));

console.log(`letters of 26 that come back, told ${TELLINGS} times, mean of ${TEXTS} texts`);
print("bytes after the fact", AFTER.map(String));
for (const before of BEFORE) {
  const { told, untold } = await row(before);
  print(`${before} bytes before`, mean(told));
  print("    fact not told", mean(untold));
}
let without = 0;
for (let text = 0; text < TEXTS; text++) without += await guessed(decoder.start, text);
print("without memory", mean(AFTER.map(() => without)));
decoder.dispose();
device.dispose();

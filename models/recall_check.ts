/**
 * How often the model of `models/recall/` knows a fact: each of its 36 values is told about a name of its own, in text
 * that was not trained on, and asked for later.
 *
 *     deno run --allow-read models/recall_check.ts [PATH]
 *
 * A table of how many of 36 values are the likeliest answer, and without the memory.
 */
import { findCheckpoint } from "../cli/checkpoint_file.ts";
import { addresses, passage } from "../examples/recall_text.ts";
import { requestDevice } from "../kernels/mod.ts";
import { Decoder, type DecodeState, Model } from "../titans/mod.ts";
import { VALUES } from "../web/page/recall/story.ts";

/** Bytes of text before the fact, and after it. */
const BEFORE = [160, 1000], AFTER = [0, 300, 1000, 2000, 3000], TELLINGS = [1, 2, 3];
/** Words between the beginnings of the texts of two facts. */
const APART = 97;

const { checkpoint } = await findCheckpoint(Deno.args[0] ?? "builtin:recall"), { heldOut } = await addresses();
const device = await requestDevice({ kind: "cpu" }), model = new Model(checkpoint.config);
const decoder = await Decoder.create(device, model, model.layout.pack(checkpoint.state.params));
const names = [...new Set(heldOut.filter((word) => /^[a-z]{4,10}$/.test(word)))].slice(0, VALUES.length);

/** Reads on; the state it began with is freed, unless it is the first. */
async function read(text: string, state: DecodeState): Promise<DecodeState> {
  if (text === "") return state;
  const { state: next } = await decoder.prefill(new TextEncoder().encode(text), state);
  if (state !== decoder.start) state.dispose();
  return next;
}

/** Whether a value is the likeliest of all after the question; the state stays. */
async function knows(name: string, value: string, state: DecodeState): Promise<boolean> {
  const { logits, state: asked } = await decoder.prefill(new TextEncoder().encode(`${name}: `), state);
  asked.dispose();
  return logits.indexOf(Math.max(...logits)) === value.charCodeAt(0);
}

/** How many values are known after each distance. */
async function row(before: number, tellings: number): Promise<number[]> {
  const known = AFTER.map(() => 0);
  for (const [i, value] of [...VALUES].entries()) {
    const name = names[i], head = passage(heldOut, i * APART, before), start = i * APART + head.split(" ").length - 1;
    let state = await read(`${head}${`${name}: ${value}. `.repeat(tellings)}`, decoder.start), done = "";
    for (const [d, bytes] of AFTER.entries()) {
      const text = bytes === 0 ? "" : passage(heldOut, start, bytes);
      state = await read(text.slice(done.length), state);
      done = text;
      if (await knows(name, value, state)) known[d]++;
    }
    state.dispose();
  }
  return known;
}

const print = (title: string, cells: readonly unknown[]): void =>
  console.log(title.padEnd(36) + cells.map((cell) => String(cell).padStart(7)).join(""));
console.log(`values of ${VALUES.length} that are answered`);
print("bytes after the fact", AFTER);
for (const before of BEFORE) {
  for (const tellings of TELLINGS) print(`${before} bytes before, told ${tellings} times`, await row(before, tellings));
}
const without = await Promise.all([...VALUES].map((value, i) => knows(names[i], value, decoder.start)));
print("without memory", [without.filter(Boolean).length]);
decoder.dispose();
device.dispose();

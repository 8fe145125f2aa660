/** The recall page's parts without a browser: the story, and the reader against the decoder. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { requestDevice } from "../../mod.ts";
import { findCheckpoint } from "../../cli/checkpoint_file.ts";
import { Decoder, Model } from "../../titans/mod.ts";
import { Narrator } from "../../web/page/recall/narrator.ts";
import type { RecallReply } from "../../web/page/recall/protocol.ts";
import { PIECE, Reader } from "../../web/page/recall/reader.ts";
import { type Fact, problemOf, type Story, storyOf } from "../../web/page/recall/story.ts";

const FACT: Fact = { name: "the key", value: "Q", tellings: 2, distance: 300 };
const FILLER = await Deno.readTextFile(new URL("../../web/page/texts/washington_1790.txt", import.meta.url));

Deno.test("recall page: a story tells the fact, goes on for about the distance, and asks", () => {
  const { text, parts, question, answer } = storyOf(FACT, FILLER);
  const piece = (kind: string): string => {
    const { start, end } = parts.find((part) => part.kind === kind)!;
    return text.slice(start, end);
  };
  assertEquals([piece("fact"), piece("question"), question, answer], [
    "the key: Q. the key: Q. ",
    "the key: ",
    "the key: ",
    "Q",
  ]);
  assertEquals(parts.map(({ start }) => start), [0, ...parts.slice(0, -1).map(({ end }) => end)]);
  const between = parts[2].end - parts[2].start;
  assert(between >= 300 && between < 330, `${between} bytes between fact and question`);
  assertMatch(text, /^[\x20-\x7e]+$/);
  assertEquals(storyOf({ ...FACT, distance: 0 }, FILLER).parts.map(({ kind }) => kind), ["text", "fact", "question"]);
});

Deno.test("recall page: what cannot be a fact is refused in one line", () => {
  assertEquals(problemOf(FACT), undefined);
  const cases: readonly (readonly [Partial<Fact>, RegExp])[] = [
    [{ name: "" }, /needs a name/],
    [{ name: "clé" }, /needs a name of letters/],
    [{ name: "a".repeat(21) }, /21 characters; it can have 20/],
    [{ name: "a: b" }, /colon/],
    [{ value: "q" }, /capital letter or a digit/],
    [{ value: "" }, /capital letter or a digit/],
  ];
  for (const [change, said] of cases) assertMatch(problemOf({ ...FACT, ...change }) ?? "", said);
});

async function openReader() {
  const { checkpoint } = await findCheckpoint("builtin:recall"), model = new Model(checkpoint.config);
  const device = await requestDevice({ kind: "cpu" }), params = model.layout.pack(checkpoint.state.params);
  return { device, model, params, reader: await Reader.create(device, model, params) };
}

Deno.test("recall page: the reader gives the decoder's numbers, and a memory that must not learn stays as it is", async () => {
  const { device, model, params, reader } = await openReader(), { heads, side } = reader.shape;
  try {
    const bytes = new TextEncoder().encode("Fellow citizens, the key: Q. the key: Q. and so on the key: ");
    let place = reader.start, last = new Float32Array(0);
    for (let at = 0; at < bytes.length; at += PIECE) {
      const seen = await reader.read(bytes.subarray(at, at + PIECE), place, {
        head: 0,
        learns: Array(PIECE).fill(true),
      });
      last = seen.logits.slice((seen.count - 1) * 256, seen.count * 256);
      place = seen.place;
    }
    const decoder = await Decoder.create(device, model, params), { logits } = await decoder.prefill(bytes);
    const error = Math.max(...last.map((value, i) => Math.abs(value - logits[i])));
    assert(error < 1e-3, `logits differ by ${error}`);
    const frozen = await reader.read(bytes.subarray(0, 9), place, { head: 0, learns: Array(9).fill(false) });
    assertEquals(frozen.moved.slice(0, 9 * heads), new Float32Array(9 * heads));
    const matrix = (i: number) => frozen.memory.slice(i * side * side, (i + 1) * side * side);
    assertEquals(matrix(8), matrix(0));
    assertEquals(frozen.place.bytesRead, bytes.length + 9);
  } finally {
    device.dispose();
  }
});

/** Answers requests for files of the page, as its server does. */
function serveModels(): () => void {
  const real = globalThis.fetch;
  globalThis.fetch = async (path) => new Response(await Deno.readFile(new URL(`../../web/${path}`, import.meta.url)));
  return () => void (globalThis.fetch = real);
}

/** The memory of the first head as training left it. */
async function trainedMemory(): Promise<Float32Array> {
  const { checkpoint: { config, state } } = await findCheckpoint("builtin:recall");
  const side = config.width / config.heads, initial = state.params["blocks.0.lmm.memory.initial.0"] as Float32Array;
  return initial.slice(0, side * side);
}

/** What the worker says of a story. */
async function told(story: Story, learning: "always" | "not the fact"): Promise<RecallReply[]> {
  const replies: RecallReply[] = [], close = serveModels();
  try {
    const narrator = new Narrator((reply) => replies.push(reply));
    await narrator.serve({ type: "read", id: 1, story, learning, head: 0 });
  } finally {
    close();
  }
  return replies;
}

Deno.test("recall page: the model that comes with it answers with its memory, and not without", async () => {
  const story = storyOf(FACT, FILLER), right = story.answer.charCodeAt(0);
  const replies = await told(story, "always"), answered = replies.find((reply) => reply.type === "answered")!;
  assert(answered.type === "answered");
  const { answer, without } = answered, likeliest = answer.indexOf(Math.max(...answer));
  assertEquals(String.fromCharCode(likeliest), "Q");
  assert(without[right] < 0.15, `without memory ${without[right]}`);
  const kinds = replies.map(({ type }) => type), begun = replies.find((reply) => reply.type === "begun")!;
  assert(kinds.indexOf("begun") < kinds.indexOf("frames"), "the memory is shown before it has read anything");
  const trained = await trainedMemory();
  assert(begun.memory.every((value, i) => Math.abs(value - trained[i]) < 1e-6), "the memory is as training left it");
  assert(trained.some((value) => value !== 0));
  const frames = replies.filter((reply) => reply.type === "frames");
  assertEquals(frames.reduce((count, { moved }) => count + moved.length / 4, 0), story.text.length);
  // A memory that is not told the fact does not know it.
  const missed = (await told(story, "not the fact")).find((reply) => reply.type === "answered")!;
  assert(missed.type === "answered" && missed.answer[right] < answer[right] / 3, "it knows what it was not told");
});

Deno.test("recall page: a memory that is forked learns two texts, and each copy answers by its own", async () => {
  const replies: RecallReply[] = [], close = serveModels(), story = storyOf({ ...FACT, distance: 0 }, FILLER);
  try {
    const narrator = new Narrator((reply) => replies.push(reply));
    await narrator.serve({ type: "read", id: 1, story, learning: "always", head: 0 });
    const at = story.parts.find(({ kind }) => kind === "fact")!.end;
    const texts = ["", "", "the key: Z. the key: Z. the key: Z. "];
    // Not at the end of a piece; the third text goes on where the first two stay.
    await narrator.serve({ type: "fork", id: 1, at, texts, head: 0 });
    await narrator.serve({ type: "fork", id: 1, at: 0, texts: [""], head: 0 });
    await narrator.serve({ type: "fork", id: 7, at, texts, head: 0 });
  } finally {
    close();
  }
  const forked = replies.filter((reply) => reply.type === "forked"),
    answered = replies.find((reply) => reply.type === "answered")!;
  assertEquals(forked.map(({ at }) => at > 0), [true, false]);
  const [one, same, other] = forked[0].branches,
    likeliest = (answer: Float32Array) => String.fromCharCode(answer.indexOf(Math.max(...answer)));
  assertEquals([one, same, other].map(({ answer }) => likeliest(answer)), ["Q", "Q", "Z"]);
  assertEquals(one, same);
  assert(answered.type === "answered");
  // Nothing lies between the fact and the question: forking there is asking there.
  const error = Math.max(...one.answer.map((value, i) => Math.abs(value - answered.answer[i])));
  assert(error < 1e-5, `probabilities differ by ${error}`);
  assertEquals(forked[1].branches[0].memory, await trainedMemory());
});

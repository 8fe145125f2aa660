/** The evaluation of BABILong: accuracy by length, of questions that are made up and of the released ones. */
import { proportion } from "../figures.ts";
import { BatchReader } from "../reading.ts";
import { SampleRandom, splitSeed } from "../samples.ts";
import type { Score, Subject } from "../task.ts";
import { type BabiParts, type BabiPrompt, drawPrompt, scatter } from "./draw.ts";
import { isRight } from "./prompt.ts";
import type { BabiQuestion } from "./story.ts";

/** What is measured. */
export interface BabiLengths {
  readonly parts: BabiParts;
  /** Tokens of prompt and answer; 0 for the facts alone. */
  readonly lengths: readonly number[];
  /** Released test questions, if there are any. */
  readonly real: readonly BabiQuestion[];
  /** Of guessing a label. */
  readonly chance: number;
}

// A word and its stop; in bytes, a sentence.
const WRITTEN = { fineTuned: 2, fewShot: 64 };

/** `accuracy, length 1024`, and with released questions `accuracy, released, length 1024`. */
export async function measureLengths(
  subject: Subject,
  { parts, lengths, real, chance }: BabiLengths,
): Promise<readonly Score[]> {
  const { device, model, params, batch, samples } = subject, scores: Score[] = [], seed = splitSeed("test", 0);
  const randomOf = (name: string): SampleRandom => new SampleRandom(seed, `babilong ${parts.kind}, ${name}`);
  let reader: BatchReader | undefined;
  const measure = async (label: string, prompts: readonly BabiPrompt[]): Promise<void> => {
    const contexts = prompts.map(({ prompt }) => parts.encoding.encode(prompt));
    const written = WRITTEN[parts.protocol], longest = Math.max(...contexts.map(({ length }) => length));
    if (longest + written > model.maxLength) return;
    const ask = async (): Promise<readonly Score[]> => {
      subject.expect(prompts.length);
      reader ??= await BatchReader.create({ device, model, params, batch, piece: 128 });
      const outputs = await reader.write(contexts, written, (done) => subject.advance(done));
      const right = prompts.filter((prompt, i) => isRight(parts.kind, prompt, parts.encoding.write(outputs[i]))).length;
      return [{ ...proportion(`accuracy, ${label}`, right, prompts.length), chance }];
    };
    scores.push(...await subject.cell(label, ask));
  };
  const asked = { "": samples, ...(real.length > 0 ? { "released, ": Math.min(real.length, samples) } : {}) };
  const cells = lengths.flatMap((tokens) =>
    Object.entries(asked).map(([kind, count]) => [`${kind}length ${tokens}`, count] as const)
  );
  // With a bound, it shows only when prompts are drawn which are too long.
  if (model.maxLength === Infinity) subject.ahead?.(Object.fromEntries(cells));
  try {
    for (const tokens of lengths) {
      const made = Array.from(
        { length: samples },
        (_, i) => drawPrompt(parts, { tokens, random: randomOf(`length ${tokens}, ${i}`), split: "test" }),
      );
      await measure(`length ${tokens}`, made);
      const chosen = evenly(real, samples).map((question, i) =>
        scatter(parts, question, { tokens, random: randomOf(`released, length ${tokens}, ${i}`), split: "test" })
      );
      if (chosen.length > 0) await measure(`released, length ${tokens}`, chosen);
    }
    return scores;
  } finally {
    reader?.dispose();
  }
}

/** So many of a list at most, evenly spread. */
function evenly<T>(list: readonly T[], count: number): T[] {
  if (list.length <= count) return [...list];
  return Array.from({ length: count }, (_, i) => list[Math.floor(i * list.length / count)]);
}

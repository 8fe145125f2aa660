/** The evaluation of needles: lengths by depths, each a cell of figures. */
import { proportion } from "../figures.ts";
import { BatchReader } from "../reading.ts";
import { SampleRandom, splitSeed } from "../samples.ts";
import type { Score, Subject } from "../task.ts";
import { isFree, type NeedleParts, needleSample } from "./prompt.ts";

/** What is measured. */
export interface NeedleGrid {
  readonly parts: NeedleParts;
  /** Bytes of prompt and answer. */
  readonly lengths: readonly number[];
  /** How many depths, from 0 to 100 percent. */
  readonly depths: number;
  /** Of guessing a character of the value. */
  readonly chance: number;
}

// Bytes that are written, in which the value must be found. A letter is in any text, so that it has to come at once.
const WRITTEN = { letter: 0, digits3: 24, digits7: 24, uuid: 48 };

/**
 * For each length and depth `exactMatch`, whether what the model writes contains the value, and `accuracy`, how many
 * characters of the value are the most likely ones after those before. A length has as many prompts as the evaluation
 * has samples, spread over the depths, whose figures come after those of the length as a whole; lengths that the model
 * cannot read are left out.
 */
export async function measureGrid(subject: Subject, { parts, lengths, depths, chance }: NeedleGrid): Promise<Score[]> {
  const { model, samples, batch } = subject, count = Math.max(1, Math.ceil(samples / depths));
  const places = Array.from({ length: depths }, (_, i) => Math.round(100 * i / (depths - 1)));
  const written = WRITTEN[parts.value], scores: Score[] = [];
  const readable = lengths.filter((length) => length + written <= model.maxLength);
  const labelOf = (length: number, depth: number): string => `length ${length}, depth ${depth}`;
  let reader: BatchReader | undefined;
  subject.ahead?.(
    Object.fromEntries(readable.flatMap((length) => places.map((depth) => [labelOf(length, depth), count]))),
  );
  try {
    for (const length of readable) {
      const own: Score[] = [];
      for (const depth of places) {
        const cell = labelOf(length, depth);
        const measure = async (): Promise<readonly Score[]> => {
          subject.expect(count);
          reader ??= await BatchReader.create({ ...subjectOf(subject), batch: Math.min(batch, count), piece: 256 });
          const { exact, right, characters } = await askAll(reader, { parts, length, depth, count, subject });
          return [
            proportion(`exactMatch, ${cell}`, exact, count),
            { ...proportion(`accuracy, ${cell}`, right, characters), chance },
          ];
        };
        own.push(...await subject.cell(cell, measure));
      }
      scores.push(
        pooled(`exactMatch, length ${length}`, own.filter(({ name }) => name.startsWith("exactMatch"))),
        { ...pooled(`accuracy, length ${length}`, own.filter(({ name }) => name.startsWith("accuracy"))), chance },
        ...own,
      );
    }
  } finally {
    reader?.dispose();
  }
  return scores;
}

/** The share of all answers of cells that is right. */
function pooled(name: string, cells: readonly Score[]): Score {
  const count = cells.reduce((sum, cell) => sum + cell.count!, 0);
  return proportion(name, Math.round(cells.reduce((sum, cell) => sum + cell.value * cell.count!, 0)), count);
}

function subjectOf({ device, model, params }: Subject) {
  return { device, model, params };
}

async function askAll(
  reader: BatchReader,
  { parts, length, depth, count, subject }: {
    readonly parts: NeedleParts;
    readonly length: number;
    readonly depth: number;
    readonly count: number;
    readonly subject: Subject;
  },
): Promise<{ readonly exact: number; readonly right: number; readonly characters: number }> {
  const encoder = new TextEncoder(), seed = splitSeed("test", 0);
  const prompts = Array.from({ length: count }, (_, i) => {
    const random = new SampleRandom(seed, `needle ${parts.value}, length ${length}, depth ${depth}, ${i}`);
    return needleSample(parts, { bytes: length, depth, random, split: "test" });
  });
  const contexts = prompts.map(({ prompt }) => encoder.encode(prompt));
  const answers = prompts.map(({ value }) => encoder.encode(` ${value}`));
  const scored = await reader.score(
    contexts.map((context, i) => ({ context, continuations: [answers[i]] })),
    (done) => subject.advance(done),
  );
  let exact = 0, right = 0, characters = 0;
  const missed: number[] = [];
  scored.forEach(([{ best, greedy }], i) => {
    for (let c = 1; c < best.length; c++) {
      if (!isFree(parts.value, c - 1)) continue;
      characters++;
      if (best[c] === answers[i][c]) right++;
    }
    if (greedy) exact++;
    else missed.push(i);
  });
  // What would not be written at once may be written after something else.
  const bytes = WRITTEN[parts.value],
    written = bytes > 0 ? await reader.write(missed.map((i) => contexts[i]), bytes) : [];
  written.forEach((tokens, i) => exact += contains(tokens, prompts[missed[i]].value) ? 1 : 0);
  return { exact, right, characters };
}

/** Whether a text contains a value, whatever the case of its letters. */
export function contains(tokens: ArrayLike<number>, value: string): boolean {
  return new TextDecoder().decode(Uint8Array.from(tokens)).toLowerCase().includes(value.toLowerCase());
}

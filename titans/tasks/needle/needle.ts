/**
 * A needle in a haystack, after the single-needle tasks of RULER (Hsieh et al., 2024): a key and its value stand
 * somewhere in a long text, and at its end the value is asked for. Tokens are bytes.
 *
 *     Remember the magic letter.
 *     The grass is green. .. There and back again.
 *     The magic letter for quiet-river is: Q.
 *     The grass is green. .. There and back again.
 *     What is the magic letter for quiet-river? The magic letter for quiet-river is:       answer: " Q."
 *
 * Training is on short texts; the evaluation is a grid of lengths and depths.
 */
import { ConfigError } from "../../errors.ts";
import type { OptionsOf } from "../../options/option_table.ts";
import type { BatchArrays } from "../../train/objective.ts";
import { filesOf } from "../files.ts";
import { numbersOf } from "../lists.ts";
import { Passages } from "../passages.ts";
import type { SampleRandom } from "../samples.ts";
import { defineTask, type Split, type Task, type TaskFiles, type TaskInstance } from "../task.ts";
import { type TokenBatch, tokenRow, tokenTask } from "../token_task.ts";
import { measureGrid } from "./grid.ts";
import { NEEDLE_OPTIONS, NEEDLE_PRESETS } from "./options.ts";
import { findNeedle, isFree, leastBytes, type NeedleParts, needleSample, NOISE } from "./prompt.ts";
import { KEY_WORDS, keyWordsOf } from "./words.ts";

type NeedleOptions = OptionsOf<typeof NEEDLE_OPTIONS>;

// Bytes of the window of a model that has no other memory.
const WINDOW = 256;

/** A needle in a haystack. */
export const needle: Task<typeof NEEDLE_OPTIONS, TokenBatch> = defineTask({
  name: "needle",
  summary: "the value of a key that stands somewhere in a long text",
  options: NEEDLE_OPTIONS,
  presets: NEEDLE_PRESETS,
  reads: ["data", "words"],
  create: (options, files): TaskInstance<TokenBatch> => {
    const { value, shortest, length, testLengths, depths } = options, parts = partsOf(options, files);
    const least = leastBytes(parts),
      lengths = numbersOf(testLengths, { option: "testLengths", min: least, max: 2 ** 24 });
    if (shortest < least || shortest > length) {
      throw new ConfigError(
        `Cannot use shortest ${shortest}: it must be from ${least}, the bytes of a needle and its question, to length, ${length}`,
        "shortest",
      );
    }
    const chance = { letter: 1 / 26, digits3: 1 / 10, digits7: 1 / 10, uuid: 1 / 16 }[value];
    return {
      ...tokenTask({
        name: `needle ${value}`,
        vocabulary: 256,
        length,
        sample: (random, split) => rowOf(parts, options, { random, split }),
        chance,
        exact: true,
        answers: (tokens) => answersTo(tokens, Infinity),
        baselines: { [`the last ${WINDOW} bytes alone`]: (tokens) => answersTo(tokens, WINDOW) },
      }),
      bytes: true,
      evaluate: (subject) => measureGrid(subject, { parts, lengths, depths, chance }),
    };
  },
});

function partsOf({ template, haystack, value, data, words }: NeedleOptions, files: TaskFiles | undefined): NeedleParts {
  const passages = haystack === "noise"
    ? Passages.repeated(NOISE)
    : Passages.of(filesOf("needle", { option: "data", path: data, files }));
  for (const split of ["train", "validation", "test"] as const) {
    if (passages.count(split) > 0) continue;
    throw new ConfigError(`Cannot hide anything in ${data}: it has too few sentences, give at least 10`, "data");
  }
  const keys = words === "" ? KEY_WORDS : keyWordsOf(filesOf("needle", { option: "words", path: words, files }));
  return { template, haystack, value, words: keys, passages };
}

/** A prompt of some length with its answer, as bytes. */
function rowOf(
  parts: NeedleParts,
  { shortest, length, textRows, value }: NeedleOptions,
  { random, split }: { readonly random: SampleRandom; readonly split: Split },
): BatchArrays<TokenBatch> {
  const bytes = Math.floor(shortest * (length / shortest) ** random.uniform()), everyByte = random.uniform() < textRows;
  const sample = needleSample(parts, { bytes, random, split }), encoder = new TextEncoder();
  const prompt = encoder.encode(sample.prompt), text = encoder.encode(`${sample.prompt} ${sample.value}.`);
  // Byte t + 1 is the answer at byte t; the value begins behind a space.
  const counts = (next: number): boolean => {
    if (split !== "train") {
      return next > prompt.length && next < text.length - 1 && isFree(value, next - prompt.length - 1);
    }
    return everyByte || next >= prompt.length;
  };
  const answers = Array.from(text.subarray(1), (byte, t) => counts(t + 1) ? byte : -1);
  return tokenRow(text.subarray(0, -1), answers, length);
}

/** What is written after the prompt, at each byte of it, if the needle is at most so many bytes away. */
function answersTo(tokens: Int32Array, reach: number): Int32Array {
  const answers = new Int32Array(tokens.length).fill(-1);
  const found = findNeedle(Array.from(tokens, (byte) => String.fromCharCode(byte)).join(""));
  if (!found || found.end - found.at > reach) return answers;
  [...` ${found.value}.`].forEach((character, i) => answers[found.end - 1 + i] = character.charCodeAt(0));
  return answers;
}

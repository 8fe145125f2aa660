/** Questions of BABILong, drawn: facts of a story, background around them, and the prompt. */
import { ConfigError } from "../../errors.ts";
import type { Passages } from "../passages.ts";
import type { Split } from "../task.ts";
import { SampleRandom, splitSeed } from "../samples.ts";
import { drawStory } from "./generator.ts";
import { backgroundOf, type Example, exampleOf, promptOf, spread, type Wording, writtenExamples } from "./prompt.ts";
import type { BabiQuestion } from "./story.ts";
import type { Encoding } from "./words.ts";

/** What questions are made of. */
export interface BabiParts extends Wording {
  readonly density: number;
  readonly passages: Passages;
  readonly encoding: Encoding;
}

/**
 * Examples of few-shot prompts: those that are written, and then stories of the training part, up to their first
 * question
 * so that they are short.
 */
export function examplesFor(
  { kind, density }: Pick<BabiParts, "kind" | "density">,
  { shots, seed }: { readonly shots: number; readonly seed: number },
): readonly Example[] {
  const examples = writtenExamples(kind).slice(0, shots);
  while (examples.length < shots) {
    const random = new SampleRandom(splitSeed("train", seed), `babilong ${kind}, example ${examples.length}`);
    examples.push(exampleOf(kind, drawStory({ kind, density }, random)[0]));
  }
  return examples;
}

/** Whether a question is one of the examples. */
export function isExample({ kind, examples = [] }: Wording, question: BabiQuestion): boolean {
  const [text] = exampleOf(kind, question);
  return examples.some(([shown]) => shown === text);
}

/** A prompt with the answer to its question. */
export interface BabiPrompt extends Pick<BabiQuestion, "question" | "answer"> {
  readonly prompt: string;
}

// Stories whose facts do not fit are drawn again.
const TRIES = 200;

/**
 * A prompt about a story that is made up.
 * @param tokens Of the prompt and its answer, at most, unless the facts alone are more.
 * @param most Bounds the tokens of the facts alone. Default: any number.
 * @throws {ConfigError} if no story is as short.
 */
export function drawPrompt(
  parts: BabiParts,
  { tokens, most = Infinity, random, split }: {
    readonly tokens: number;
    readonly most?: number;
    readonly random: SampleRandom;
    readonly split: Split;
  },
): BabiPrompt {
  for (let i = 0; i < TRIES; i++) {
    const drawn = random.oneOf(drawStory(parts, random));
    if (isExample(parts, drawn)) continue;
    if (sizeOf(parts, drawn) <= most) return scatter(parts, drawn, { tokens, random, split });
  }
  throw new ConfigError(
    `Cannot draw questions of ${parts.kind} of at most ${most} tokens: their facts are longer; give a greater length`,
    "length",
  );
}

/** The facts of a question among as much background as there is room for. */
export function scatter(
  parts: BabiParts,
  drawn: BabiQuestion,
  { tokens, random, split }: { readonly tokens: number; readonly random: SampleRandom; readonly split: Split },
): BabiPrompt {
  const { facts, question, answer } = drawn, room = tokens - sizeOf(parts, drawn);
  const background = room > 0 ? backgroundOf(parts.passages.from(split, random), room, parts.encoding) : [];
  return { prompt: promptOf(parts, spread(facts, background, random), question), question, answer };
}

/** Tokens of a prompt without background and of its answer. */
function sizeOf(parts: BabiParts, { facts, question, answer }: BabiQuestion): number {
  return parts.encoding.encode(`${promptOf(parts, facts.join(" "), question)} ${answer}.`).length;
}

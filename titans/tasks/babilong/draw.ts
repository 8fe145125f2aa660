/** Questions of BABILong, drawn: facts of a story, background around them, and the prompt. */
import { ConfigError } from "../../errors.ts";
import type { Passages } from "../passages.ts";
import type { SampleRandom } from "../samples.ts";
import type { Split } from "../task.ts";
import { drawStory } from "./generator.ts";
import { backgroundOf, promptOf, spread } from "./prompt.ts";
import type { BabiKind, BabiQuestion } from "./story.ts";
import type { Encoding } from "./words.ts";

/** What questions are made of. */
export interface BabiParts {
  readonly kind: BabiKind;
  readonly protocol: "fineTuned" | "fewShot";
  readonly density: number;
  readonly passages: Passages;
  readonly encoding: Encoding;
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

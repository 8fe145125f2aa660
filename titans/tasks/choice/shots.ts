/**
 * Few-shot prompting: solved questions before each question, as lm-evaluation-harness has them.
 *
 *     Question: What do cows give?\nAnswer: milk\n\nQuestion: What do bees make?\nAnswer:
 *
 * Each question has examples of its own, drawn from questions that are not asked.
 */
import { ConfigError } from "../../errors.ts";
import { SampleRandom } from "../samples.ts";
import type { Question } from "./formats.ts";

/** Where examples come from, and how many each question gets. */
export interface Shots {
  /** Of each question. */
  readonly count: number;
  /** Which ones are drawn. */
  readonly seed: number;
  /** The set of questions, as messages have it. */
  readonly set: string;
  /** Questions to draw from; those that are asked are not drawn, even if they are among them. */
  readonly pool: readonly Question[];
}

/** What parts examples, and the last of them and the question. */
const BETWEEN = "\n\n";

/**
 * The text before each question: its examples, of `asked` questions in their order.
 * @throws {ConfigError} if there are too few to draw from.
 */
export function promptsOf(asked: readonly Question[], { count, seed, set, pool }: Shots): string[] {
  if (count === 0) return asked.map(() => "");
  const known = new Set(asked.map(keyOf)), free = pool.filter((question) => !known.has(keyOf(question)));
  if (free.length < count) {
    throw new ConfigError(
      `Cannot draw ${count} examples for ${set}: ${free.length} of its questions are not asked; name the training part of the set with the option examples, or ask fewer questions`,
      "shots",
    );
  }
  return asked.map((_, i) => {
    const drawn = new SampleRandom(seed, `examples of ${set}, ${i}`).distinct(count, free.length);
    return drawn.map((at) => `${solved(free[at])}${BETWEEN}`).join("");
  });
}

/** A question after a text. */
export function after(prompt: string, question: Question): Question {
  return prompt === "" ? question : { ...question, contexts: question.contexts.map((context) => prompt + context) };
}

/** A question with its answer. */
function solved({ contexts, continuations, gold }: Question): string {
  const context = contexts[contexts.length > 1 ? gold : 0];
  return `${context} ${continuations[contexts.length > 1 ? 0 : gold]}`;
}

/** What makes two questions the same. */
function keyOf({ contexts, continuations }: Question): string {
  return JSON.stringify([contexts, continuations]);
}

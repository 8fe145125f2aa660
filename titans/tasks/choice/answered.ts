/** Questions with what a model says of them. */
import type { Answer } from "../benchmark.ts";
import type { Question } from "./formats.ts";

/** A question with what a model says of it. */
export interface Answered extends Answer {
  /** The text of each choice, without the space before it; equal where contexts differ instead. */
  readonly choices: readonly string[];
  /** Bytes of each choice with what is before it and is scored. */
  readonly scoredBytes: readonly number[];
  /** Which is right. */
  readonly gold: number;
  /** Whether choices differ in their contexts alone. */
  readonly byContext: boolean;
}

/** A question with an answer. */
export function withAnswer(question: Question, answer: Answer): Answered {
  const scoredBytes = question.contexts.flatMap((context) =>
    question.continuations.map((continuation) => bytesIn(splitAt(context, continuation)[1]))
  );
  return { ...untold(question), ...answer, scoredBytes };
}

/** A question without what a model says of it. */
export function untold({ contexts, continuations, gold }: Question): Pick<Answered, "choices" | "gold" | "byContext"> {
  const byContext = contexts.length > 1;
  return { choices: byContext ? contexts.map(() => continuations[0]) : continuations, gold, byContext };
}

/** Whether one word is asked for, rather than one of several choices. */
export function isWord({ contexts, continuations }: Question): boolean {
  return contexts.length === 1 && continuations.length === 1;
}

/** Context and continuation: spaces at the end of the context belong to what follows. */
export function splitAt(context: string, continuation: string): [context: string, continuation: string] {
  const trimmed = context.trimEnd();
  return [trimmed, `${context.slice(trimmed.length)} ${continuation}`];
}

/** Bytes in UTF-8. */
export function bytesIn(text: string): number {
  return new TextEncoder().encode(text).length;
}

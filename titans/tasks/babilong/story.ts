/** Stories of bAbI (Weston et al., 2015): facts, and questions in their midst that what was said before answers. */
import { ConfigError } from "../../errors.ts";
import type { TaskFile } from "../task.ts";

/** Which of the first five tasks. */
export type BabiKind = "qa1" | "qa2" | "qa3" | "qa4" | "qa5";

/** A question with all facts before it, the earlier questions taken out. */
export interface BabiQuestion {
  readonly facts: readonly string[];
  readonly question: string;
  readonly answer: string;
}

/** Rooms. */
export const ROOMS = ["bathroom", "bedroom", "garden", "hallway", "kitchen", "office"] as const;
/** Objects. */
export const OBJECTS = ["apple", "football", "milk"] as const;
/** Persons, and those of qa5. */
export const ACTORS = ["Daniel", "John", "Mary", "Sandra"] as const, GIVERS = ["Bill", "Fred", "Jeff", "Mary"] as const;

/** What an answer can be. */
export function labelsOf(kind: BabiKind): readonly string[] {
  return kind === "qa5" ? [...GIVERS, ...OBJECTS] : ROOMS;
}

/** The labels in a text, in small or capital letters. */
export function labelPattern(kind: BabiKind): RegExp {
  return new RegExp(`\\b(?:${labelsOf(kind).join("|")})\\b`, "gi");
}

/**
 * The questions of a file of the released data (v1.1): numbered lines, and in those of questions the answer and the
 * numbers of its facts behind tabs. A story begins where the number is 1.
 * @throws {ConfigError} naming the file and the line that is something else.
 */
export function readBabi({ name, bytes }: TaskFile): BabiQuestion[] {
  const questions: BabiQuestion[] = [];
  let facts: string[] = [];
  new TextDecoder().decode(bytes).split(/\r?\n/).forEach((line, i) => {
    if (line.trim() === "") return;
    const [, number, text] = /^(\d+) (.+)$/.exec(line) ?? [], [sentence, answer, support] = (text ?? "").split("\t");
    if (number === undefined || (answer === undefined) !== !sentence.trim().endsWith("?") || support === "") {
      throw new ConfigError(
        `Cannot read line ${
          i + 1
        } of ${name}: it must be a number and a fact, or a question with its answer behind a tab`,
        "data",
      );
    }
    if (number === "1") facts = [];
    if (answer === undefined) facts = [...facts, sentence.trim()];
    else questions.push({ facts, question: sentence.trim(), answer: answer.trim() });
  });
  return questions;
}

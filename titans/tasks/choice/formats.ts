/** The formats of multiple-choice sets, as their public releases have them, and the questions that their records ask. */
import { ConfigError } from "../../errors.ts";
import type { DataRecord } from "../records.ts";

/** A question: the likeliest continuation is the answer. */
export interface Question {
  /** What is read before the choices; where each choice has a context of its own, as many as there are choices. */
  readonly contexts: readonly string[];
  /** What may follow, without the space before it; one where the contexts differ instead. */
  readonly continuations: readonly string[];
  /** Which choice is right. Of one choice alone, whether greedy decoding would write it is asked. */
  readonly gold: number;
}

/** A format. */
export interface ChoiceFormat {
  /** For help texts. */
  readonly summary: string;
  /** Whether a record has this format. */
  matches(record: DataRecord): boolean;
  /** The question that it asks. @throws {ConfigError} saying what is wrong with the record. */
  question(record: DataRecord): Question;
}

/** By name, in the order in which they are tried. */
export const FORMATS = {
  piqa: {
    summary: "PIQA: goal, sol1, sol2, label",
    matches: (record) => record.has("goal"),
    question: (record) => ({
      contexts: [`Question: ${record.text("goal")}\nAnswer:`],
      continuations: [record.text("sol1"), record.text("sol2")],
      gold: record.index("label", 2),
    }),
  },
  hellaswag: {
    summary: "HellaSwag: activity_label, ctx_a, ctx_b, endings, label; or query, choices, label",
    matches: (record) => record.has("endings") || record.has("query"),
    question: (record) => {
      const endings = record.texts(record.has("endings") ? "endings" : "choices").map(cleaned);
      return {
        contexts: [cleaned(hellaswagContext(record))],
        continuations: endings,
        gold: record.index("label", endings.length),
      };
    },
  },
  winogrande: {
    summary: "WinoGrande: sentence with _, option1, option2, answer",
    matches: (record) => record.has("option1"),
    question: (record) => {
      const parts = record.text("sentence").split("_");
      if (parts.length !== 2) record.refuse("its sentence must have one _");
      return {
        contexts: [record.text("option1"), record.text("option2")].map((option) => parts[0] + option),
        continuations: [parts[1].trim()],
        gold: record.index("answer", 2, 1),
      };
    },
  },
  siqa: {
    summary: "SIQA: context, question, answerA, answerB, answerC, label",
    matches: (record) => record.has("answerA"),
    question: (record) => ({
      contexts: [`Q: ${record.text("context")} ${record.text("question")}\nA:`],
      continuations: ["answerA", "answerB", "answerC"].map((name) => record.text(name)),
      gold: record.index("label", 3, 1),
    }),
  },
  boolq: {
    summary: "BoolQ: passage, question, answer",
    matches: (record) => record.has("passage") || typeof record.fields.answer === "boolean",
    question: (record) => {
      if (!record.has("passage")) record.refuse("it has no passage, without which BoolQ cannot be answered");
      const answer = record.fields[record.has("answer") ? "answer" : "label"];
      return {
        contexts: [`${record.text("passage")}\nQuestion: ${record.text("question").replace(/\?$/, "")}?\nAnswer:`],
        continuations: ["no", "yes"],
        gold: typeof answer === "boolean" ? Number(answer) : record.index(record.has("answer") ? "answer" : "label", 2),
      };
    },
  },
  openbookqa: {
    summary: "OpenBookQA: question_stem, choices, answerKey",
    matches: (record) => record.has("question_stem"),
    question: (record) => {
      if (record.has("question_stem")) return keyed(record, record.text("question_stem"), record);
      const question = record.record("question");
      return keyed(record, question.text("stem"), question);
    },
  },
  arc: {
    summary: "ARC: question, choices, answerKey",
    matches: (record) => record.has("question"),
    question: (record) => {
      if (typeof record.fields.question !== "string") {
        const question = record.record("question");
        return keyed(record, `Question: ${question.text("stem")}\nAnswer:`, question);
      }
      return keyed(record, `Question: ${record.text("question")}\nAnswer:`, record);
    },
  },
  lambada: {
    summary: "LAMBADA: text, of which the last word is asked",
    matches: (record) => record.has("text"),
    question: (record) => {
      const words = record.text("text").split(" ");
      if (words.length < 2 || words.at(-1) === "") record.refuse("its text must end with a word after another one");
      return { contexts: [words.slice(0, -1).join(" ")], continuations: [words.at(-1)!], gold: 0 };
    },
  },
} as const satisfies Readonly<Record<string, ChoiceFormat>>;

/** The name of a format. */
export type FormatName = keyof typeof FORMATS;

/** The format of records. @throws {ConfigError} if it is none that is known. */
export function formatOf(record: DataRecord): FormatName {
  const found = (Object.keys(FORMATS) as FormatName[]).find((name) => FORMATS[name].matches(record));
  if (found !== undefined) return found;
  throw new ConfigError(
    `Cannot use ${record.place}: its fields, ${
      Object.keys(record.fields).join(", ")
    }, are those of no known format; give format, one of ${Object.keys(FORMATS).join(", ")}`,
    "data",
  );
}

/** Choices with letters or numbers, as ARC and OpenBookQA have them. */
function keyed(record: DataRecord, context: string, holder: DataRecord): Question {
  const { texts, labels } = keyedChoices(holder);
  const gold = record.has("answerKey") ? labels.indexOf(record.text("answerKey")) : record.index("label", texts.length);
  if (gold < 0) record.refuse(`its answerKey must be one of ${labels.join(", ")}`);
  return { contexts: [context], continuations: texts, gold };
}

function keyedChoices(holder: DataRecord): { readonly texts: readonly string[]; readonly labels: readonly string[] } {
  const choices = holder.fields.choices;
  if (!Array.isArray(choices)) {
    const record = holder.record("choices");
    return { texts: record.texts("text"), labels: record.texts("label") };
  }
  if (choices.every((choice) => typeof choice === "string")) return { texts: holder.texts("choices"), labels: [] };
  const records = holder.records("choices");
  return { texts: records.map((one) => one.text("text")), labels: records.map((one) => one.text("label")) };
}

/** HellaSwag's context; its second part begins in lower case in the release, and in upper case in the question. */
function hellaswagContext(record: DataRecord): string {
  if (record.has("query")) return record.text("query");
  const second = typeof record.fields.ctx_b === "string" ? capitalized(record.fields.ctx_b) : "";
  return `${record.text("activity_label")}: ${record.text("ctx_a")} ${second}`;
}

/** The first letter in upper case and all others in lower case. */
function capitalized(text: string): string {
  const [first = "", ...others] = text;
  return first.toUpperCase() + others.join("").toLowerCase();
}

/** A text of WikiHow or ActivityNet without its marks. */
function cleaned(text: string): string {
  return text.trim().replaceAll(" [title]", ". ").replace(/\[.*?\]/g, "").replaceAll("  ", " ");
}

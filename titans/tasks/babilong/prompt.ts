/**
 * Prompts of BABILong (Kuratov et al., 2024): facts in their order among the sentences of a background text, then the
 * question. Fine-tuned models read the text, the question and `Answer:`; others are shown examples and told in which words
 * to answer.
 */
import type { SampleRandom } from "../samples.ts";
import { type BabiKind, type BabiQuestion, labelsOf } from "./story.ts";
import type { Encoding } from "./words.ts";

/** A text with its question at the end, and how it is answered. */
export type Example = readonly [text: string, answer: string];

interface Examples {
  readonly instruction: string;
  readonly examples: readonly Example[];
  readonly format: string;
}

/** What models are told that are not trained on the task, after BABILong's prompts. */
const FEW_SHOT: Readonly<Record<BabiKind, Examples>> = {
  qa1: {
    instruction:
      "The context has facts about where persons are, hidden in other text, and then comes a question. Answer it by the facts alone. If a person was in several places, the latest one counts.",
    examples: [
      [
        "Charlie went to the hallway. Judith moved to the kitchen. Charlie travelled to the garden. Where is Charlie?",
        "The most recent location of Charlie is garden.",
      ],
      [
        "Alan moved to the office. Charlie went to the bathroom. Where is Alan?",
        "The most recent location of Alan is office.",
      ],
    ],
    format: "Answer in this form: The most recent location of PERSON is PLACE. Write nothing else.",
  },
  qa2: {
    instruction:
      "The context has facts about persons and what they carry, hidden in other text, and then comes a question. Answer it by the facts alone. An object is where the person who holds it is.",
    examples: [
      [
        "Charlie went to the kitchen. Charlie got the bottle. Charlie moved to the garden. Where is the bottle?",
        "The bottle is in the garden.",
      ],
      [
        "Alan moved to the office. Alan grabbed the book. Alan went to the hallway. Alan dropped the book. Alan moved to the kitchen. Where is the book?",
        "The book is in the hallway.",
      ],
    ],
    format: "Answer in this form: The OBJECT is in the PLACE. Write nothing else.",
  },
  qa3: {
    instruction:
      "The context has facts about persons and what they carry, hidden in other text, and then comes a question about where an object was before. Answer it by the facts alone.",
    examples: [
      [
        "Alan got the bottle. Alan went to the kitchen. Alan went to the garden. Where was the bottle before the garden?",
        "Before the garden the bottle was in the kitchen.",
      ],
      [
        "Charlie took the book. Charlie moved to the office. Charlie moved to the hallway. Charlie went to the bedroom. Where was the book before the hallway?",
        "Before the hallway the book was in the office.",
      ],
    ],
    format: "Answer in this form: Before the PLACE the OBJECT was in the OTHER PLACE. Write nothing else.",
  },
  qa4: {
    instruction:
      "The context has facts about where rooms lie, hidden in other text, and then comes a question. Answer it by the facts alone.",
    examples: [
      ["The garden is north of the office. The kitchen is south of the office. What is north of the office?", "garden"],
      [
        "The bathroom is west of the hallway. The bedroom is east of the hallway. What is the bathroom west of?",
        "hallway",
      ],
    ],
    format: "Answer with one word, the name of the place. Write nothing else.",
  },
  qa5: {
    instruction:
      "The context has facts about who gave what to whom, hidden in other text, and then comes a question. Answer it by the facts alone.",
    examples: [
      ["Charlie took the bottle. Charlie gave the bottle to Alan. Who gave the bottle to Alan?", "Charlie"],
      ["Alan grabbed the book. Alan passed the book to Judith. What did Alan give to Judith?", "book"],
    ],
    format: "Answer with one word. Write nothing else.",
  },
};

/** The examples that come with the prompts, which are about other people and things. */
export function writtenExamples(kind: BabiKind): readonly Example[] {
  return FEW_SHOT[kind].examples;
}

/** A story as an example, answered in the form that the prompt asks for. */
export function exampleOf(kind: BabiKind, { facts, question, answer }: BabiQuestion): Example {
  const about = question.replace(/^Where (?:is|was) /, "").replace(/\?$/, "");
  const [thing, room] = about.split(" before ");
  const capital = thing.charAt(0).toUpperCase() + thing.slice(1);
  const said = kind === "qa1"
    ? `The most recent location of ${thing} is ${answer}.`
    : kind === "qa2"
    ? `${capital} is in the ${answer}.`
    : kind === "qa3"
    ? `Before ${room} ${thing} was in the ${answer}.`
    : answer;
  return [`${facts.join(" ")} ${question}`, said];
}

/** In which words a question is asked. */
export interface Wording {
  readonly protocol: "fineTuned" | "fewShot";
  readonly kind: BabiKind;
  /** Of few-shot prompts. Default: those that are written. */
  readonly examples?: readonly Example[];
}

/** A question with its text in the words of a protocol. */
export function promptOf(wording: Wording, text: string, question: string): string {
  const { protocol, kind } = wording;
  if (protocol === "fineTuned") return `${text}\n${question} Answer:`;
  const { instruction, format } = FEW_SHOT[kind], examples = wording.examples ?? FEW_SHOT[kind].examples;
  const shown = examples.map(([text, answer]) => `<example>\n${text}\nAnswer: ${answer}\n</example>`);
  const parts = [instruction, ...(shown.length > 0 ? [shown.join("\n")] : []), format];
  return `${parts.join("\n\n")}\n\n<context>\n${text}\n</context>\n\nQuestion: ${question}\nAnswer:`;
}

/**
 * Facts among sentences: fact i stands before sentence p_i, where p is a sorted draw with repetition of 0 .. S.
 * @param sentences S sentences of the background.
 */
export function spread(facts: readonly string[], sentences: readonly string[], random: SampleRandom): string {
  const places = facts.map(() => random.integer(sentences.length + 1)).sort((a, b) => a - b), parts: string[] = [];
  let next = 0;
  for (let place = 0; place <= sentences.length; place++) {
    while (next < facts.length && places[next] === place) parts.push(facts[next++]);
    if (place < sentences.length) parts.push(sentences[place]);
  }
  return parts.join(" ");
}

/** As many sentences as have at most so many tokens, the last one cut at a word. */
export function backgroundOf(sentences: Iterable<string>, tokens: number, encoding: Encoding): string[] {
  const taken: string[] = [];
  let left = tokens;
  for (const sentence of sentences) {
    // A space between sentences is a byte, and no word.
    const size = encoding.encode(`${sentence} `).length;
    if (size <= left) {
      taken.push(sentence);
      left -= size;
      continue;
    }
    const words = sentence.split(" ");
    let count = 0;
    while (count < words.length && encoding.encode(`${words.slice(0, count + 1).join(" ")} `).length <= left) count++;
    if (count > 0) taken.push(words.slice(0, count).join(" "));
    break;
  }
  return taken;
}

/**
 * Whether an output answers a question, by BABILong's rule: of what stands before the first full stop or tag, the labels
 * that the question does not have are the answer alone.
 */
export function isRight(
  kind: BabiKind,
  { question, answer }: Pick<BabiQuestion, "question" | "answer">,
  output: string,
): boolean {
  const said = output.toLowerCase().split(/\.|<context>|<example>/)[0], asked = question.toLowerCase();
  const labels = labelsOf(kind).map((label) => label.toLowerCase());
  const found = labels.filter((label) => said.includes(label) && !asked.includes(label));
  return found.length === 1 && found[0] === answer.toLowerCase();
}

/**
 * BABILong (Kuratov et al., 2024): the facts of a bAbI question are scattered over a long text, and only who keeps them
 * until its end can answer. Facts come from a generator of the worlds of bAbI, or from the released files.
 *
 *     Mary moved to the bathroom. <background> John went to the hallway. <background>
 *     Where is Mary? Answer:                                                             bathroom.
 */
import { ConfigError } from "../../errors.ts";
import type { OptionsOf, OptionTable } from "../../options/option_table.ts";
import type { BatchArrays } from "../../train/objective.ts";
import { filesOf } from "../files.ts";
import { numbersOf } from "../lists.ts";
import { Passages } from "../passages.ts";
import type { SampleRandom } from "../samples.ts";
import { defineTask, type Split, type Task, type TaskFiles, type TaskInstance } from "../task.ts";
import { type TokenBatch, tokenRow, tokenTask } from "../token_task.ts";
import { type BabiParts, drawPrompt, examplesFor, isExample } from "./draw.ts";
import { measureLengths } from "./evaluation.ts";
import { type BabiQuestion, labelPattern, labelsOf, readBabi } from "./story.ts";
import { BYTE_ENCODING, wordsOf, WordVocabulary } from "./words.ts";
import { promptOf } from "./prompt.ts";
import { answerOf, readPrompt } from "./world.ts";

/** Options of {@link babilong}. */
export const BABILONG_OPTIONS = {
  question: {
    kind: "choice",
    default: "qa1",
    choices: {
      qa1: "where a person is",
      qa2: "where an object is",
      qa3: "where an object was before",
      qa4: "which room lies beside another",
      qa5: "who gave what to whom",
    },
    help: "what is asked",
  },
  protocol: {
    kind: "choice",
    default: "fineTuned",
    choices: {
      fineTuned: "text and question in word tokens, to train on",
      fewShot: "instruction and examples in bytes, for models of text",
    },
    help: "how it is asked",
  },
  shots: {
    kind: "integer",
    default: 2,
    min: 0,
    max: 64,
    help: "examples before the question: the two that are written, and then stories of the training part",
    idleWith: { protocol: ["fineTuned"] },
  },
  shotSeed: {
    kind: "integer",
    default: 0,
    min: 0,
    max: 2 ** 31 - 1,
    help: "which stories are drawn as examples",
    idleWith: { protocol: ["fineTuned"] },
  },
  data: {
    kind: "text",
    default: "",
    placeholder: "PATH",
    help: "folder of the released bAbI files; their test questions are evaluated besides, and never trained on",
  },
  background: {
    kind: "text",
    default: "",
    placeholder: "PATH",
    help:
      "file or folder of the text between the facts; `state-of-the-union` from the command line. Default: one sentence again and again",
  },
  words: {
    kind: "integer",
    default: 1500,
    min: 0,
    max: 60000,
    help: "words of the background in the vocabulary, the most frequent ones",
    idleWith: { protocol: ["fewShot"] },
  },
  shortest: { kind: "integer", default: 64, min: 32, max: 2 ** 20, help: "tokens of a training sequence at least" },
  length: {
    kind: "integer",
    default: 256,
    min: 32,
    max: 2 ** 20,
    help:
      "tokens of a training sequence at most; lengths are log-uniform between. Few-shot prompts get 1,024 bytes beside their examples at least",
  },
  testLengths: {
    kind: "text",
    default: "0,128,256,512,1024,2048,4096,8192",
    placeholder: "LIST",
    help: "tokens to evaluate at; 0 is the facts alone",
  },
  density: {
    kind: "number",
    default: 0,
    min: 0,
    max: 1,
    help: "of qa5: how often a gift is made where one can be, for stories with fewer facts",
  },
} as const satisfies OptionTable;

type BabilongOptions = OptionsOf<typeof BABILONG_OPTIONS>;

/** Words that a sentence of the background has at least. */
const SENTENCE_WORDS = 10;
/** Bytes that a few-shot prompt has at least for facts, background and question. */
const FEW_SHOT_ROOM = 1024;
const SPLITS: readonly Split[] = ["train", "validation", "test"];
const REPEATED = "The grass is green, the sky is blue, the sun is yellow, and here we go there and back again.";

/** Questions about facts in a long text. */
export const babilong: Task<typeof BABILONG_OPTIONS, TokenBatch> = defineTask({
  name: "babilong",
  summary: "bAbI questions about facts that are scattered over a long text",
  options: BABILONG_OPTIONS,
  reads: ["data", "background"],
  create: (options, files): TaskInstance<TokenBatch> => {
    const { question: kind, protocol, shortest, length, testLengths } = options, parts = partsOf(options, files);
    if (shortest > length) {
      throw new ConfigError(`Cannot use shortest ${shortest}: it must be at most length, ${length}`, "shortest");
    }
    const lengths = numbersOf(testLengths, { option: "testLengths", min: 0, max: 2 ** 24 });
    const real = options.data === "" ? [] : realQuestions(options, files).filter((one) => !isExample(parts, one));
    const chance = 1 / labelsOf(kind).length;
    const isWords = protocol === "fineTuned";
    // Instruction and examples are longer than most texts in words are.
    const frame = isWords ? 0 : parts.encoding.encode(promptOf(parts, "", "")).length;
    const most = isWords ? length : Math.max(length, frame + FEW_SHOT_ROOM);
    return {
      ...tokenTask({
        name: `babilong ${kind}`,
        vocabulary: parts.encoding.size,
        length: most,
        sample: (random, split) => rowOf(parts, { shortest, length: most }, { random, split }),
        ...(isWords ? { chance } : { exact: true }),
        answers: (tokens) => answersTo(parts, tokens, (read) => answerOf(kind, read.facts, read.question)),
        baselines: {
          "label read last": (tokens) =>
            answersTo(parts, tokens, ({ facts }) => facts.join(" ").match(labelPattern(kind))?.at(-1)),
        },
      }),
      bytes: !isWords,
      evaluate: (subject) => measureLengths(subject, { parts, lengths, real, chance }),
    };
  },
});

function partsOf(
  { question: kind, protocol, shots, shotSeed, background, words, density }: BabilongOptions,
  files?: TaskFiles,
): BabiParts {
  const given = background === "" ? [] : filesOf("babilong", { option: "background", path: background, files });
  const isLong = (sentence: string): boolean => wordsOf(sentence).length >= SENTENCE_WORDS;
  const passages = background === "" ? Passages.repeated(REPEATED) : Passages.of(given, isLong);
  if (SPLITS.some((split) => passages.count(split) === 0)) {
    throw new ConfigError(
      `Cannot scatter facts over ${background}: it has too few sentences of ${SENTENCE_WORDS} words, give at least 10`,
      "background",
    );
  }
  const encoding = protocol === "fewShot" ? BYTE_ENCODING : new WordVocabulary(passages.sentences("train"), words);
  const examples = examplesFor({ kind, density }, { shots, seed: shotSeed });
  return { kind, protocol, examples, density, passages, encoding };
}

/** The test questions of the released files. */
function realQuestions({ question: kind, data }: BabilongOptions, files: TaskFiles | undefined): BabiQuestion[] {
  const pattern = new RegExp(`(?:^|/)${kind}_[^/]*test[^/]*$`);
  const found = filesOf("babilong", { option: "data", path: data, files }).filter(({ name }) => pattern.test(name));
  if (found.length > 0) return found.flatMap(readBabi);
  throw new ConfigError(`Cannot find the test questions of ${kind} in ${data}: it has no file ${kind}_*test*`, "data");
}

/** A prompt of some length with its answer. */
function rowOf(
  parts: BabiParts,
  { shortest, length }: Pick<BabilongOptions, "shortest" | "length">,
  { random, split }: { readonly random: SampleRandom; readonly split: Split },
): BatchArrays<TokenBatch> {
  const tokens = Math.floor(shortest * (length / shortest) ** random.uniform());
  const { prompt, answer } = drawPrompt(parts, { tokens, most: length, random, split });
  const context = parts.encoding.encode(prompt), said = parts.encoding.encode(` ${answer}.`);
  const isByte = parts.protocol === "fewShot";
  // In tests the stop does not count, nor the space before a word of bytes.
  const counts = (i: number): boolean => split === "train" || (i < said.length - 1 && !(isByte && i === 0));
  const answers = new Array<number>(context.length - 1).fill(-1);
  for (let i = 0; i < said.length; i++) answers.push(counts(i) ? said[i] : -1);
  return tokenRow([...Array.from(context), ...Array.from(said).slice(0, -1)], answers, length);
}

/** What is written behind the prompt of a row if the answer to its facts and question is `answer`. */
function answersTo(
  { encoding, kind }: BabiParts,
  tokens: Int32Array,
  answer: (read: { readonly facts: readonly string[]; readonly question: string }) => string | undefined,
): Int32Array {
  const answers = new Int32Array(tokens.length).fill(-1), { text, end } = encoding.decode(tokens);
  const said = answer(readPrompt(kind, text));
  if (said !== undefined) {
    answers.set(Array.from(encoding.encode(` ${said}.`)).slice(0, tokens.length - end + 1), end - 1);
  }
  return answers;
}

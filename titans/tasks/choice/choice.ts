/**
 * Multiple choice without training for it: the answer is the continuation that is likeliest after the question, as
 * lm-evaluation-harness scores PIQA, HellaSwag, WinoGrande, ARC, SIQA, BoolQ, OpenBookQA and LAMBADA.
 *
 *     Question: What do bees make?\nAnswer:   -> " honey" ln p -6.0    " a small house" ln p -21.3     honey is chosen
 *
 * A continuation begins with the space that parts it from its context. Contexts are read once, and their states forked.
 */
import { ConfigError } from "../../errors.ts";
import type { OptionsOf, OptionTable } from "../../options/option_table.ts";
import { NgramModel } from "../../text/ngram.ts";
import {
  type Answer,
  asTextModel,
  type Benchmark,
  type BenchmarkSubject,
  defineBenchmark,
  type TextCodec,
  type TextModel,
} from "../benchmark.ts";
import { filesOf } from "../files.ts";
import { ngramScorer } from "../ngram_scorer.ts";
import { RECORD_FILES, recordsOf } from "../records.ts";
import type { ScoreRequest } from "../scorer.ts";
import type { Score, TaskFile, TaskFiles } from "../task.ts";
import { pairedWith } from "./against.ts";
import { type Answered, isWord, splitAt, untold, withAnswer } from "./answered.ts";
import { choiceFigures, lengthFloors, wordFigures } from "./choice_figures.ts";
import { formatOf, FORMATS, type Question } from "./formats.ts";
import { after, promptsOf } from "./shots.ts";
import { beforeEnd, textQuestions } from "./text_questions.ts";

const CHOICE_OPTIONS = {
  data: { kind: "text", default: "", placeholder: "PATH", help: "a file of questions, or a folder of such files" },
  format: {
    kind: "choice",
    default: "auto",
    choices: {
      auto: "what the fields of its first record say",
      ...Object.fromEntries(Object.entries(FORMATS).map(([name, { summary }]) => [name, summary])),
      text: "plain text, about which questions are made: which of four sentences comes next, which word ends a passage",
    },
    help: "the format of the files",
  },
  share: {
    kind: "number",
    default: 0.05,
    min: 0,
    aboveMin: true,
    max: 1,
    help: "of plain text: how much of it, at its end, questions are about; `train` holds out as much",
    idleWith: { format: ["auto", ...Object.keys(FORMATS)] },
  },
  shots: { kind: "integer", default: 0, min: 0, max: 64, help: "solved examples before each question" },
  shotSeed: {
    kind: "integer",
    default: 0,
    min: 0,
    max: 2 ** 32 - 1,
    help: "which examples are drawn",
    idleWith: { shots: [0] },
  },
  examples: {
    kind: "text",
    default: "",
    placeholder: "PATH",
    help:
      "a file or folder that examples are drawn from, such as the training part of the set. Default: questions that are not asked, and of plain text those about what is before its end",
    idleWith: { shots: [0] },
  },
  ngrams: {
    kind: "text",
    default: "",
    placeholder: "PATH",
    help: "a text of which byte n-grams are counted, as a floor to compare with",
  },
  context: { kind: "integer", default: 3, min: 0, max: 8, help: "bytes of context of these n-grams" },
} as const satisfies OptionTable;

/** Questions of a file. */
interface QuestionSet {
  /** The name of the file, without its extension. */
  readonly name: string;
  /** Their format; of plain text what they ask. */
  readonly format: string;
  readonly questions: readonly Question[];
}

/** Questions that are asked, and the text before each. */
interface AskedSet extends Pick<QuestionSet, "name" | "questions"> {
  /** Its solved examples. */
  readonly prompts: readonly string[];
}

/** Multiple choice. */
export const choice: Benchmark<typeof CHOICE_OPTIONS> = defineBenchmark({
  name: "choice",
  summary: "multiple choice by likelihood, of PIQA, HellaSwag, WinoGrande, ARC, SIQA, BoolQ, OpenBookQA and LAMBADA",
  options: CHOICE_OPTIONS,
  reads: ["data", "ngrams", "examples"],
  create: (options, files) => {
    const given = filesOf("choice", { option: "data", path: options.data, files });
    const sets = setsOf(given, options), pools = options.shots === 0 ? undefined : poolsOf(given, options, files);
    const first = (samples: number): AskedSet[] =>
      sets.map(({ name, questions }) => ({
        name,
        questions: questions.slice(0, samples),
        prompts: questions.slice(0, samples).map(() => ""),
      }));
    const prompted = (samples: number): AskedSet[] =>
      first(samples).map((asked, i) => {
        const pool = pools?.(sets[i]) ?? sets[i].questions.slice(samples);
        const shots = { count: options.shots, seed: options.shotSeed, set: asked.name, pool };
        return { ...asked, prompts: promptsOf(asked.questions, shots) };
      });
    return {
      evaluate: (subject) => measureSets(prompted(subject.samples), subject),
      against: (others, samples) => pairedWith(first(samples), others),
      floors: async (samples) => {
        const chosen = first(samples), floors: Record<string, Score[]> = {};
        for (const { name, questions } of chosen) {
          const kinds = questions.some(isWord) ? {} : lengthFloors(questions.map(untold));
          for (const [floor, scores] of Object.entries(kinds)) {
            (floors[floor] ??= []).push(...scores.map((score) => ({ ...score, name: `${name}: ${score.name}` })));
          }
        }
        if (options.ngrams === "") return floors;
        const counts = new NgramModel(options.context);
        for (const { bytes } of filesOf("choice", { option: "ngrams", path: options.ngrams, files })) {
          counts.count(bytes);
        }
        const none = { samples, batch: 1, expect: () => {}, advance: () => {} };
        const text = asTextModel(ngramScorer(counts));
        const scores = await measureSets(chosen, { ...none, text, cell: (_, measure) => measure() });
        return { ...floors, [`${options.context + 1}-gram`]: scores };
      },
    };
  },
});

/** The questions of files. */
function setsOf(
  files: readonly TaskFile[],
  { format, share }: { readonly format: string; readonly share: number },
): QuestionSet[] {
  return format === "text" ? textSets(files, share) : questionSets(files, format);
}

/** What examples of a set are drawn from; undefined where that is the rest of the set itself. */
function poolsOf(
  given: readonly TaskFile[],
  options: OptionsOf<typeof CHOICE_OPTIONS>,
  files?: TaskFiles,
): ((set: QuestionSet) => readonly Question[]) | undefined {
  const { examples, format, share } = options;
  if (examples === "" && format !== "text") return undefined;
  const pools = examples === ""
    ? textSets(beforeEnd(given, share), share)
    : setsOf(filesOf("choice", { option: "examples", path: examples, files }), { format, share: 1 });
  return (set) => {
    const alike = pools.filter((pool) => pool.format === set.format).flatMap(({ questions }) => questions);
    if (alike.length > 0) return alike;
    throw new ConfigError(
      `Cannot draw examples for ${set.name} from ${examples}: it has no questions in the format ${set.format}`,
      "examples",
    );
  };
}

function textSets(files: readonly TaskFile[], share: number): QuestionSet[] {
  return Object.entries(textQuestions(files, share)).map(([name, questions]) => ({ name, format: name, questions }));
}

function questionSets(files: readonly TaskFile[], format: string): QuestionSet[] {
  const used = files.filter(({ name }) => RECORD_FILES.includes(name.split(".").at(-1) ?? ""));
  if (used.length === 0) {
    throw new ConfigError(
      `Cannot find questions in ${files.map(({ name }) => name).join(", ")}: files of them end in ${
        RECORD_FILES.join(", ")
      }`,
      "data",
    );
  }
  return used.map((file) => {
    const records = recordsOf(file);
    if (records.length === 0) throw new ConfigError(`Cannot use ${file.name}: it has no questions`, "data");
    const own = format === "auto" ? formatOf(records[0]) : format as keyof typeof FORMATS;
    return { name: file.name.replace(/\.[^.]*$/, ""), format: own, questions: records.map(FORMATS[own].question) };
  });
}

/** The figures of sets, one after the other. */
async function measureSets(sets: readonly AskedSet[], subject: BenchmarkSubject): Promise<readonly Score[]> {
  const scores: Score[] = [];
  // Of a word, the context is asked about twice.
  const samplesOf = (questions: readonly Question[]): number => questions.length * (questions.some(isWord) ? 2 : 1);
  using reader = await subject.text.reader({ batch: subject.batch });
  subject.ahead?.(Object.fromEntries(sets.map(({ name, questions }) => [name, samplesOf(questions)])));
  for (const { name, questions, prompts } of sets) {
    const measured = await subject.cell(name, async () => {
      const words = questions.some(isWord);
      const ask = (part: string, questions: readonly Question[]) =>
        answered(part, questions.map((question, i) => after(prompts[i], question)), { subject, reader });
      subject.expect(samplesOf(questions));
      const whole = await ask(name, questions);
      if (!words) return choiceFigures(whole);
      const near = await ask(`${name}, last sentence`, questions.map(lastSentence));
      return wordFigures(whole, near.map(({ logLikelihoods: [value] }) => value));
    });
    scores.push(...measured.map((score) => ({ ...score, name: `${name}: ${score.name}` })));
  }
  return scores;
}

/** Questions with what a model says of them. */
async function answered(
  part: string,
  questions: readonly Question[],
  { subject, reader }: {
    readonly subject: BenchmarkSubject;
    readonly reader: Awaited<ReturnType<TextModel["reader"]>>;
  },
): Promise<readonly Answered[]> {
  const ask = (from: number, to: number) => answersOf(questions.slice(from, to), { subject, reader });
  const answers = await (subject.answers?.(part, questions.length, ask) ?? ask(0, questions.length));
  return questions.map((question, i) => withAnswer(question, answers[i]));
}

/** What a model says of questions. */
async function answersOf(
  questions: readonly Question[],
  { subject: { text, advance }, reader }: {
    readonly subject: BenchmarkSubject;
    readonly reader: Awaited<ReturnType<TextModel["reader"]>>;
  },
): Promise<readonly Answer[]> {
  // A question is one request of all its continuations, or one a context.
  const requests = questions.map((question) =>
    question.contexts.map((context) => requestOf(text, context, question.continuations))
  );
  const count = requests.reduce((sum, { length }) => sum + length, 0);
  const scores = await reader.score(requests.flat(), (done) => advance(done * questions.length / count));
  const next = scores.values();
  return questions.map(({ gold }, i) => {
    const own = requests[i].flatMap(() => next.next().value!);
    return { logLikelihoods: own.map(({ logLikelihood }) => logLikelihood), greedy: own[gold].greedy };
  });
}

/** The same question after the last sentence of its context alone. */
function lastSentence(question: Question): Question {
  const [context] = question.contexts;
  const sentences = context.split(/(?<=[.!?]["'”’)]*)\s+/);
  return { ...question, contexts: [sentences.at(-1)!.trim() || context] };
}

/** The tokens of context and continuations, which are encoded together. */
function requestOf({ encode }: TextCodec, context: string, continuations: readonly string[]): ScoreRequest {
  const before = encode(splitAt(context, "")[0]);
  return {
    context: before,
    continuations: continuations.map((continuation) => {
      const [start, end] = splitAt(context, continuation), whole = encode(start + end);
      return whole.length > before.length ? Array.prototype.slice.call(whole, before.length) as number[] : encode(end);
    }),
  };
}

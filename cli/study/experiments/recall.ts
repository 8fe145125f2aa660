/** Experiments on recall: pairs of keys and values, a letter in a haystack, facts scattered over a text. */
import { type Experiment, PLAIN } from "../plan.ts";

/** A memory that writes strongly, for tasks that are nothing but recall. */
const RECALLING = "--no-momentum --no-forgetting --theta-max 8 --theta-bias -1";

/**
 * The linear one, which needs no norm; with two layers, and in mac over thousands of tokens, such steps overflow without
 * it.
 */
const LINEAR = `${RECALLING} --memory-depth 1 --no-memory-norm`;

const MODELS: Experiment["models"] = {
  lmm: `--model lmm ${LINEAR}`,
  mac: `--model mac ${RECALLING} --memory-depth 1`,
  swa: "--model swa --window 32",
  transformer: "--model transformer",
  mamba2: "--model mamba2",
  gatedDeltaNet: "--model gatedDeltaNet",
};

/** Many pairs of keys and values. */
export const MQAR: Experiment = {
  ...PLAIN,
  name: "mqar",
  title: "Multi-query associative recall",
  about:
    "Pairs of a key and a value, and later the keys again: trained on 4 and 8 pairs in 64 tokens, asked about up to " +
    "24 pairs in 512. The models read the same sequences; lmm and mac have linear memories, lmmDeep one of two layers.",
  steps: 600,
  train: "--task mqar --task-option vocabulary=64 --task-option loads=64x4,64x8 " +
    "--task-option testLoads=64x4,64x8,64x16,128x16,256x24,512x24 --batch 32 --optimizer muon --parameters 150000",
  models: { ...MODELS, mac: `--model mac ${LINEAR}`, lmmDeep: `--model lmm ${RECALLING} --memory-depth 2` },
  rates: [0.01],
  choose: { figure: "accuracy", best: "highest" },
  evaluate: { "": "--samples 128" },
  figures: ["accuracy"],
};

/** One letter. */
export const NEEDLE: Experiment = {
  ...PLAIN,
  name: "needle",
  title: "A letter in a haystack",
  about:
    "A letter is hidden in a text of 192 to 320 bytes in training, of up to 4,096 in the test, and asked for at its " +
    "end; swa sees the last 32 bytes, transformer no more than 2,048. Of each length there are 50 letters.",
  why:
    "The paper hides numbers of seven digits in texts of up to 16,384 tokens, trained at 4,096: a single letter asks " +
    "less of a memory, and 400 steps are few for a model to begin to recall at all: mac does with one seed of three, " +
    "and with another after 500.",
  steps: 400,
  train: "--task needle --task-option value=letter --task-option length=320 --task-option textRows=0 " +
    "--task-option testLengths=256,512,1024,2048,4096 --batch 8 --optimizer muon --parameters 150000",
  // With momentum and forgetting mac learns the task; without momentum, or without both, it is at chance.
  models: { ...MODELS, mac: "--model mac --theta-max 8 --theta-bias -1 --memory-depth 1" },
  rates: [0.01],
  evaluate: { "": "--samples 50" },
  figures: ["accuracy"],
};

/** What is asked, and how long the texts are that it is learned from: those that most stories fit into. */
const QUESTIONS = [
  { question: "qa1", about: "where a person is", length: 64, batch: 32 },
  { question: "qa2", about: "where an object is", length: 128, batch: 16 },
  { question: "qa3", about: "where an object was before", length: 256, batch: 8 },
  { question: "qa4", about: "which room lies beside another", length: 64, batch: 32 },
  { question: "qa5", about: "who gave what to whom", length: 128, batch: 16 },
];

/** Queries, keys and values see the words of a fact together. */
const WIDE = " --convolution 8";

/** The five questions. */
export const BABILONG: readonly Experiment[] = QUESTIONS.map(({ question, about, length, batch }) => ({
  ...PLAIN,
  name: `babilong-${question}`,
  title: `BABILong ${question}: ${about}`,
  about:
    `Facts of a story among sentences of no matter, trained on texts of ${length / 2} to ${length} words, asked in ` +
    "texts of up to 4,096. Convolutions span 8 tokens in all models, so that they see a fact whole; swa sees the last " +
    "32 words, transformer no more than 2,048. Of each length there are 64 questions, and length 0 has the facts alone.",
  why:
    "The paper trains longer, with a curriculum of lengths, from a model of language, and reports the mean over the " +
    "five questions in a figure without numbers. With 64 questions, shares that differ by less than 0.12 say nothing.",
  steps: 300,
  ...(question === "qa1" ? {} : { seeds: 1 }),
  train: `--task babilong --task-option question=${question} --task-option words=20 --task-option density=0.8 ` +
    `--task-option shortest=${length / 2} --task-option length=${length} ` +
    `--task-option testLengths=0,64,256,1024,4096 --batch ${batch} --optimizer muon --parameters 150000`,
  models: {
    lmm: MODELS.lmm + WIDE,
    mac: MODELS.mac + WIDE,
    swa: `${MODELS.swa} --attention-convolution 8`,
    transformer: `${MODELS.transformer} --attention-convolution 8`,
    mamba2: MODELS.mamba2 + WIDE,
  },
  rates: [0.01],
  choose: { figure: "accuracy", best: "highest" },
  evaluate: { "": "--samples 64" },
  figures: ["accuracy, length"],
}));

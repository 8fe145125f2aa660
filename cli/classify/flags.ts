/** The flags of `classify`. */
import { MODEL_OPTIONS, type PresetName, PRESETS } from "../../titans/mod.ts";
import { ALPHABETS } from "../../titans/tasks/classification/alphabet.ts";
import { FOLDS } from "../../titans/tasks/classification/labelled.ts";
import { BYTE_ALPHABET } from "../../titans/tasks/text/byte_alphabet.ts";
import { CHECKPOINT_FLAGS, DEVICE_FLAGS, OUTPUT_FLAGS } from "../common_flags.ts";
import { choice, integer, number, required, text, toggle, under, type Values } from "../flags.ts";
import { FIT_FLAGS } from "../fit/fit_config.ts";
import { MODEL_FLAGS, SIZE_FLAGS } from "../model_flags.ts";
import { RUNS } from "../run_folder.ts";
import { CNN } from "./classifier_file.ts";

/** The flags. */
export const CLASSIFY_FLAGS = {
  data: required(
    "PATH",
    "folder or file of texts or DNA sequences with classes: see docs/classify.md for the layouts; `-` for standard input, of which a classifier predicts the classes",
  ),
  model: {
    ...choice(
      [...Object.keys(MODEL_OPTIONS.model.choices), CNN],
      `what reads: a model of \`train\`, or \`${CNN}\`, the convolutional baseline of GenomicsBenchmarks`,
      MODEL_OPTIONS.model.default,
    ),
    placeholder: "NAME",
  },
  checkpoint: {
    ...CHECKPOINT_FLAGS.checkpoint,
    help:
      "run of `train` to begin with, of bytes for texts and of `--task dna` for DNA, or a folder of this command, whose classifier then predicts",
    unless: "a model from scratch",
  },
  which: CHECKPOINT_FLAGS.which,
  preset: choice(Object.keys(PRESETS) as PresetName[], "size of the model", "nano"),
  ...SIZE_FLAGS,
  ...under("Data", {
    text: {
      ...text("COLUMN", "of tables and records, the column of texts or sequences"),
      unless: "guessed by its name",
    },
    label: { ...text("COLUMN", "of tables and records, the column of classes"), unless: "guessed by its name" },
    alphabet: {
      ...choice(ALPHABETS.map(({ name }) => name), "what samples are read as"),
      unless: "`nucleotides` if they look like DNA, else `bytes`",
    },
    length: {
      ...integer("nucleotides or bytes that are read; longer samples are cut at their end", undefined, {
        min: 8,
        max: 2 ** 20,
      }),
      unless: `those of the longest, of texts at most ${BYTE_ALPHABET.length}`,
    },
    minQuality: integer("nucleotides of FASTQ of a lower quality (Phred) are read as N", 0, { min: 0, max: 93 }),
    fold: integer(`of data without a test part, which of ${FOLDS} parts of each class is tested on`, FOLDS - 1, {
      min: 0,
      max: FOLDS - 1,
    }),
    folds: {
      ...integer("cross-validation over so many parts of each class: every one is tested on once", undefined, {
        min: 2,
        max: 1000,
      }),
      unless: "one test part",
    },
    positive: { ...text("CLASS", "of two classes, the one that is looked for"), unless: "the last by name" },
  }),
  ...under("Training", {
    epochs: integer("times that all samples are trained on, at most", 20, { min: 1, max: 10_000 }),
    patience: integer("epochs without a better validation after which training ends", 4, { min: 1, max: 10_000 }),
    batch: integer("samples of a step", 32, { min: 1, max: 2 ** 14 }),
    lr: number("learning rate after warm-up over 1% of the steps; a cosine takes it to a tenth", 1e-3, {
      min: 0,
      aboveMin: true,
    }),
    weightDecay: number("decoupled weight decay, of matrices only", 0.1, { min: 0 }),
    tokenDropout: number("share of nucleotides or bytes that are replaced by an unknown one in training", 0.1, {
      min: 0,
      max: 1,
    }),
    reverseComplement: toggle("replace half of the DNA sequences by their reverse complements in training"),
    compareScratch: toggle(
      "with a run of `train`: train the same model from scratch too, on the same parts, and compare",
    ),
    seed: integer("seed of the first weights, the order of samples and what is replaced", 0, {
      min: 0,
      max: 2 ** 32 - 1,
    }),
  }),
  ...under("Run", {
    out: {
      ...text("DIR", "folder for the classifier, results.json and predictions.csv"),
      unless: `one of the data's name in ${RUNS}/`,
    },
    ...FIT_FLAGS,
  }),
  ...DEVICE_FLAGS,
  ...OUTPUT_FLAGS,
  ...MODEL_FLAGS,
} as const;

/** Their values. */
export type ClassifyFlags = Values<typeof CLASSIFY_FLAGS>;

/** The built-in plans. */
import type { Experiment, StudyPlan } from "./plan.ts";

/** Parameters that models of a comparison have, within 3%. */
const SIZE = "--parameters 200000";

const MODELS: Experiment["models"] = {
  lmm: "--model lmm",
  mac: "--model mac",
  mag: "--model mag",
  mal: "--model mal",
  transformer: "--model transformer",
  swa: "--model swa",
  gla: "--model gla",
  mamba2: "--model mamba2",
  gatedDeltaNet: "--model gatedDeltaNet",
};

const LANGUAGE: Experiment = {
  name: "language",
  title: "Language modelling",
  about:
    "The next byte of addresses on the State of the Union, trained on windows of 128 bytes and measured on held-out text.",
  why:
    "A model of 200,000 parameters that saw 300,000 bytes has learned spelling and hardly any context, where a short " +
    "convolution is worth more than a memory; the paper trains 340 million parameters on 15 billion tokens.",
  steps: 300,
  train: SIZE,
  models: MODELS,
  rates: [0.003, 0.01],
  choose: { figure: "bitsPerByte", best: "lowest" },
  evaluate: { "": "--task text" },
  figures: ["bitsPerByte"],
};

const RECALL: Experiment = {
  name: "recall",
  title: "Associative recall",
  about: "Pairs of a key and a value are stated, then every key is asked for once: what a memory is for.",
  why: "",
  steps: 400,
  train: `--task recall ${SIZE}`,
  models: MODELS,
  rates: [0.003, 0.01],
  choose: { figure: "accuracy", best: "highest" },
  evaluate: { "": "--samples 256" },
  figures: [],
};

/** The plans by name. */
export const PLANS: Readonly<Record<"default" | "quick" | "full", StudyPlan>> = {
  default: { name: "default", seeds: 3, experiments: [LANGUAGE, RECALL] },
  quick: { name: "quick", seeds: 1, experiments: [LANGUAGE, RECALL] },
  full: { name: "full", seeds: 3, experiments: [LANGUAGE, RECALL] },
};

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

/** The built-in plans. */
import { type Experiment, scalePlan, type StudyPlan } from "./plan.ts";

/** What an experiment has where it does not say otherwise. */
const PLAIN = { about: "", why: "", rates: [], choose: { figure: "loss", best: "lowest" }, figures: [] } as const;

/** Every kind of model that the paper compares, one of each. */
const MODELS: Experiment["models"] = {
  lmm: "--model lmm",
  mac: "--model mac",
  mag: "--model mag",
  mal: "--model mal",
  transformer: "--model transformer",
  gla: "--model gla",
  mamba2: "--model mamba2",
  gatedDeltaNet: "--model gatedDeltaNet",
  tttLinear: "--model tttLinear",
};

/** A memory that writes strongly, for tasks that are nothing but recall. */
const RECALLING = "--no-momentum --no-forgetting --theta-max 8 --theta-bias -1 --parameters 150000";

/** The linear one, which needs no norm; with two layers such steps overflow on a needle without it. */
const LINEAR = `${RECALLING} --memory-depth 1 --no-memory-norm`;

const RECALLERS: Experiment["models"] = {
  lmm: `--model lmm ${LINEAR}`,
  lmmDeep: `--model lmm ${RECALLING} --memory-depth 2`,
  mac: `--model mac ${LINEAR}`,
  swa: "--model swa --window 32 --parameters 150000",
  transformer: "--model transformer --parameters 150000",
  mamba2: "--model mamba2 --parameters 150000",
  gatedDeltaNet: "--model gatedDeltaNet --parameters 150000",
};

const LANGUAGE: Experiment = {
  ...PLAIN,
  name: "language",
  title: "Language modelling",
  about:
    "The next byte of addresses on the State of the Union, trained on windows of 128 bytes and measured on held-out text.",
  why:
    "A model of 200,000 parameters that saw 300,000 bytes has learned spelling and hardly any context, where a short " +
    "convolution is worth more than a memory; the paper trains 340 million parameters on 15 billion tokens.",
  steps: 300,
  train: "--parameters 200000",
  models: MODELS,
  rates: [0.003, 0.01],
  choose: { figure: "bitsPerByte", best: "lowest" },
  evaluate: { "": "--task text" },
  figures: ["bitsPerByte", "bigramBitsPerByte"],
};

const MQAR: Experiment = {
  ...PLAIN,
  name: "mqar",
  title: "Multi-query associative recall",
  about:
    "Pairs of a key and a value, and later the keys again: trained on 4 and 8 pairs in 64 tokens, asked about up to " +
    "24 pairs in 512. The models read the same sequences; the memories are those of docs/tasks.md.",
  steps: 1000,
  train: "--task mqar --task-option vocabulary=64 --task-option loads=64x4,64x8 " +
    "--task-option testLoads=64x4,64x8,64x16,128x16,256x24,512x24 --batch 32 --optimizer muon",
  models: RECALLERS,
  rates: [0.003, 0.01],
  choose: { figure: "accuracy", best: "highest" },
  evaluate: { "": "--samples 128" },
  figures: ["accuracy"],
};

const NEEDLE: Experiment = {
  ...PLAIN,
  name: "needle",
  title: "A letter in a haystack",
  about:
    "A letter is hidden in a text of 192 to 320 bytes in training, of up to 4,096 in the test, and asked for at its end.",
  steps: 800,
  train: "--task needle --task-option value=letter --task-option length=320 --task-option textRows=0 " +
    "--task-option testLengths=256,512,1024,2048,4096 --batch 8",
  models: RECALLERS,
  rates: [0.003, 0.005],
  evaluate: { "": "--samples 50" },
  figures: ["accuracy", "exactMatch"],
};

const DEPTH: Experiment = {
  ...PLAIN,
  name: "depth",
  title: "The depth of the memory",
  about: "LMM with memories of one to four layers, at equal parameters of the model.",
  steps: 300,
  train: "--model lmm --parameters 260000",
  models: { one: "--memory-depth 1", two: "--memory-depth 2", three: "--memory-depth 3", four: "--memory-depth 4" },
  choose: LANGUAGE.choose,
  evaluate: LANGUAGE.evaluate,
  figures: LANGUAGE.figures,
};

const ABLATIONS: Experiment = {
  ...PLAIN,
  name: "ablations",
  title: "What each part of MAC is worth",
  about: "MAC without one of its parts, at equal parameters of the model.",
  steps: 300,
  train: "--model mac --parameters 200000",
  models: {
    whole: "",
    linear: "--memory-depth 1",
    noConvolution: "--convolution 0",
    noMomentum: "--no-momentum",
    noForgetting: "--no-forgetting",
    noPersistent: "--persistent-tokens 0",
  },
  choose: LANGUAGE.choose,
  evaluate: LANGUAGE.evaluate,
  figures: LANGUAGE.figures,
};

const ALL = [LANGUAGE, MQAR, NEEDLE, DEPTH, ABLATIONS];

/** An experiment with some of its models and one learning rate. */
function part(experiment: Experiment, models: readonly string[], rate: number): Experiment {
  const chosen = Object.fromEntries(models.map((model) => [model, experiment.models[model]]));
  return { ...experiment, models: chosen, rates: [rate] };
}

/** The plans by name. */
export const PLANS: Readonly<Record<"default" | "quick" | "full", StudyPlan>> = {
  default: { name: "default", seeds: 3, experiments: ALL },
  quick: {
    name: "quick",
    seeds: 1,
    experiments: [
      { ...part(LANGUAGE, ["lmm", "mac", "transformer", "gatedDeltaNet"], 0.01), steps: 100 },
      { ...part(MQAR, ["lmm", "swa", "transformer"], 0.01), steps: 400 },
    ],
  },
  full: scalePlan({ name: "full", seeds: 5, experiments: ALL }, 20),
};

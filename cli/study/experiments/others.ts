/** Forecasts, and experiments on data that a user has. */
import { type Experiment, PLAIN } from "../plan.ts";
import { LANGUAGE } from "./language.ts";

/** Made-up series. */
export const SERIES: Experiment = {
  ...PLAIN,
  name: "series",
  title: "Forecasts of made-up series",
  about:
    "The next 96 hours of four columns from the last 96, by the protocol of the ETT benchmarks: a load with days and " +
    "weeks, a price that follows it, wind and tide. Squared and absolute errors of standardised values; a map by least " +
    "squares gets 0.462 and 0.446, the values of the day before 1.245 and 0.874.",
  why: "These series are no benchmark, and nothing is published of them.",
  steps: 400,
  train: "--task series --task-option data=made-up-series --batch 32 --parameters 150000",
  models: {
    lmm: "--model lmm",
    mac: "--model mac",
    transformer: "--model transformer",
    mamba2: "--model mamba2",
    gatedDeltaNet: "--model gatedDeltaNet",
  },
  rates: [0.003],
  evaluate: { "": "--samples 4096" },
  figures: ["loss", "mae"],
};

/** Forecasts of a benchmark, where its data is given. */
export const ETTH1: Experiment = {
  ...SERIES,
  name: "etth1",
  title: "Forecasts of ETTh1",
  about: "The next 96 hours of seven columns of ETTh1 from the last 96. A map by least squares gets 0.383 and 0.392.",
  why: "",
  train: "--task series --task-option 'data={data}/timeseries/ETTh1.csv.gz' --batch 32 --parameters 150000",
  evaluate: { "": "--samples 19495" },
};

/** Commonsense questions, where they are given: the models of text, and what is asked of them. */
export const QUESTION_SETS: Experiment = {
  ...LANGUAGE,
  name: "commonsense",
  title: "Commonsense questions",
  about: "The first 300 questions of ARC-e, HellaSwag, WinoGrande and LAMBADA, answered by models of another text.",
  rates: [0.01],
  seeds: 1,
  evaluate: {
    arc: "--task choice --task-option 'data={data}/qa/arc_easy.test.jsonl.gz' --samples 300",
    hellaswag: "--task choice --task-option 'data={data}/qa/hellaswag.validation.first3000.jsonl.gz' --samples 300",
    winogrande: "--task choice --task-option 'data={data}/qa/winogrande.validation.jsonl.gz' --samples 300",
    lambada: "--task choice --task-option 'data={data}/qa/lambada_test.jsonl.gz' --samples 300",
  },
  figures: ["arc: ", "hellaswag: ", "winogrande: ", "lambada: "],
};

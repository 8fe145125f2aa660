/** The built-in plans. */
import { ABLATIONS, DEPTH, LANGUAGE } from "./experiments/language.ts";
import { BABILONG, MQAR, NEEDLE } from "./experiments/recall.ts";
import { ETTH1, QUESTION_SETS, SERIES } from "./experiments/others.ts";
import { type Experiment, scalePlan, type StudyPlan } from "./plan.ts";

const ALL = [LANGUAGE, ABLATIONS, DEPTH, MQAR, NEEDLE, ...BABILONG, SERIES, QUESTION_SETS, ETTH1];

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
  full: scalePlan({ name: "full", seeds: 5, experiments: ALL.map(({ seeds: _, ...each }) => each) }, 20),
};

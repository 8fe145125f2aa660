/** Learning-rate schedules: the rate of each step as a share of the learning rate, after a linear warm-up. */
import type { OptionTable } from "../options/option_table.ts";

/** Options of the schedule. */
export const SCHEDULE_OPTIONS = {
  schedule: {
    kind: "choice",
    choices: {
      "cosine": "half a cosine down to the final rate",
      "linear": "a straight line down to the final rate",
      "constant": "the same rate to the end",
      "warmup-stable-decay": "the same rate, then over the last steps a straight line down to the final rate",
      "halving": "half the rate after every `halveEvery` steps",
    },
    default: "cosine",
    before: "cosine",
    help: "how the learning rate goes after warm-up",
  },
  finalRate: {
    kind: "number",
    default: 0.1,
    min: 0,
    max: 1,
    idleWith: { schedule: ["constant", "halving"] },
    help: "the rate at the last step, as a share of `learningRate`",
  },
  warmupSteps: {
    kind: "integer",
    default: 50,
    min: 0,
    flag: "warmup",
    help: "steps over which the learning rate rises from zero; the command takes no more than there are",
  },
  totalSteps: {
    kind: "integer",
    default: 300,
    min: 0,
    flag: false,
    help: "steps of the schedule; later steps use the final rate. On the command line, the steps of the run",
  },
  decayShare: {
    kind: "number",
    default: 0.2,
    before: 0.2,
    min: 0,
    max: 1,
    idleWith: { schedule: ["cosine", "linear", "constant", "halving"] },
    help: "share of `totalSteps` over which `warmup-stable-decay` falls at the end",
  },
  halveEvery: {
    kind: "integer",
    default: 1000,
    before: 1000,
    min: 1,
    idleWith: { schedule: ["cosine", "linear", "constant", "warmup-stable-decay"] },
    help: "steps after which `halving` halves the rate",
  },
} as const satisfies OptionTable;

/** What a schedule knows. */
export interface ScheduleFacts {
  /** Its name. */
  readonly schedule: string;
  /** The share of the rate that is left at the end. */
  readonly finalRate: number;
  /** Steps of warm-up. */
  readonly warmupSteps: number;
  /** Steps of the whole schedule. */
  readonly totalSteps: number;
  /** Share of all steps that `warmup-stable-decay` falls in. */
  readonly decayShare: number;
  /** Steps after which `halving` halves the rate. Default: 1000. */
  readonly halveEvery?: number;
}

/** Shapes of the descent: how much of it is left, 1 to 0, from the progress after warm-up, 0 to 1. */
const SHAPES: Readonly<Record<string, (progress: number, facts: ScheduleFacts) => number>> = {
  cosine: (progress) => 0.5 * (1 + Math.cos(Math.PI * progress)),
  linear: (progress) => 1 - progress,
  constant: () => 1,
  "warmup-stable-decay": (progress, { warmupSteps, totalSteps, decayShare }) => {
    const falling = Math.min(1, decayShare * totalSteps / Math.max(1, totalSteps - warmupSteps));
    return falling === 0 ? 1 : Math.min(1, (1 - progress) / falling);
  },
};

/** The share of the learning rate that a step takes, counted from 0. */
export function scheduleAt(facts: ScheduleFacts, step: number): number {
  const { schedule, finalRate, warmupSteps, totalSteps, halveEvery = 1000 } = facts;
  if (step < warmupSteps) return (step + 1) / warmupSteps;
  if (schedule === "halving") return 0.5 ** Math.floor((step - warmupSteps) / halveEvery);
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  return finalRate + (1 - finalRate) * SHAPES[schedule](progress, facts);
}

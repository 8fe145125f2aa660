/** The built-in tasks, one line each. */
import { ConfigError } from "../errors.ts";
import { babilong } from "./babilong/babilong.ts";
import { copying } from "./copying/copying.ts";
import { dna } from "./dna/dna.ts";
import { induction } from "./induction/induction.ts";
import { compression } from "./mad/compression.ts";
import { fuzzyInContextRecall } from "./mad/fuzzy_in_context_recall.ts";
import { inContextRecall, noisyInContextRecall } from "./mad/in_context_recall.ts";
import { memorization } from "./mad/memorization.ts";
import { selectiveCopying } from "./mad/selective_copying.ts";
import { mqar } from "./mqar/mqar.ts";
import { needle } from "./needle/needle.ts";
import { recall } from "./recall/recall.ts";
import { series } from "./series/series.ts";
import { sinusoids } from "./sinusoids/sinusoids.ts";
import { stateTracking } from "./state_tracking/state_tracking.ts";
import type { Task } from "./task.ts";

/** By name. */
export const TASKS: Readonly<Record<string, Task>> = {
  [recall.name]: recall,
  [series.name]: series,
  [sinusoids.name]: sinusoids,
  [mqar.name]: mqar,
  [induction.name]: induction,
  [copying.name]: copying,
  [stateTracking.name]: stateTracking,
  [inContextRecall.name]: inContextRecall,
  [noisyInContextRecall.name]: noisyInContextRecall,
  [fuzzyInContextRecall.name]: fuzzyInContextRecall,
  [selectiveCopying.name]: selectiveCopying,
  [compression.name]: compression,
  [memorization.name]: memorization,
  [dna.name]: dna,
  [needle.name]: needle,
  [babilong.name]: babilong,
};

/** The task of a name. @throws {ConfigError} if there is none. */
export function taskOf(name: string): Task {
  if (Object.hasOwn(TASKS, name)) return TASKS[name];
  throw new ConfigError(
    `Cannot use task ${JSON.stringify(name)}: it must be one of ${Object.keys(TASKS).join(", ")}`,
    "task",
  );
}

/** The built-in tasks, one line each. Their data is generated. */
import { ConfigError } from "../errors.ts";
import { recall } from "./recall/recall.ts";
import { sinusoids } from "./sinusoids/sinusoids.ts";
import type { Task } from "./task.ts";

/** By name. */
export const TASKS: Readonly<Record<string, Task>> = {
  [recall.name]: recall,
  [sinusoids.name]: sinusoids,
};

/** The task of a name. @throws {ConfigError} if there is none. */
export function taskOf(name: string): Task {
  if (Object.hasOwn(TASKS, name)) return TASKS[name];
  throw new ConfigError(
    `Cannot use task ${JSON.stringify(name)}: it must be one of ${Object.keys(TASKS).join(", ")}`,
    "task",
  );
}

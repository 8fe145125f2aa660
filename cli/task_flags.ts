/** Which task a command is about: its name, and its options as `--task-option NAME=VALUE`. */
import type { TaskFacts } from "../titans/mod.ts";
import { TASKS } from "../titans/tasks/mod.ts";
import {
  defaultsOf,
  idleBecauseOf,
  type OptionRow,
  type OptionsOf,
  type OptionTable,
  type OptionValue,
  rangeOf,
  resolveOptions,
} from "../titans/options/option_table.ts";
import { UsageError } from "./errors.ts";
import { choice, type Flag, suggestion, texts } from "./flags.ts";

/** Next-token prediction of text, which is no task of the registry: its data is read. */
export const TEXT_TASK = "text";

/** The name that stands for several options at once. Those that follow it win. */
const PRESET = "preset";

/** The flags. */
export const TASK_FLAGS = {
  task: {
    ...taskFlag(TASKS, "what is learned: the next token of a text, or a task whose data is made"),
    unless: TEXT_TASK,
  },
  taskOption: {
    ...texts("NAME=VALUE", "an option of the task, as listed there; can be repeated"),
    unless: "none",
  },
} as const;

/** A flag of one of several tasks, or of text. */
export function taskFlag(tasks: Readonly<Record<string, TaskFacts>>, help: string): Flag<string | undefined> {
  return {
    ...choice([TEXT_TASK, ...Object.keys(tasks)], help),
    words: {
      [TEXT_TASK]: "the next token of a text",
      ...Object.fromEntries(
        Object.values(tasks).map(({ name, summary, options, presets = {} }) => [
          name,
          `${summary} (${[listed(options), ...Object.keys(presets).map((name) => `preset=${name}`)].join(", ")})`,
        ]),
      ),
    },
  };
}

function listed(options: OptionTable): string {
  return Object.entries(options).map(([name, row]) => `${name}=${row.default}`).join(", ");
}

/** A task with its options, all of them. */
export interface ChosenTask {
  /** Its name. */
  readonly name: string;
  /** Its options. */
  readonly options: Readonly<Record<string, OptionValue>>;
}

/**
 * The options of a task from `NAME=VALUE` texts.
 * @param defaults Values of options that are not given. Default: the task's defaults.
 * @throws {UsageError} naming the first that cannot be.
 */
export function chosenTask(task: TaskFacts, given: readonly string[], defaults?: ChosenTask["options"]): ChosenTask {
  const options: Record<string, OptionValue> = {};
  for (const text of given) {
    const [name, value] = splitOnce(text);
    if (name === PRESET && value !== undefined) {
      Object.assign(options, presetOf(task, value));
      continue;
    }
    const row = Object.hasOwn(task.options, name) ? task.options[name] : undefined;
    if (row === undefined || value === undefined) {
      const names = Object.keys(task.options), near = suggestion(name, names);
      throw new UsageError(
        `--task-option cannot be ${JSON.stringify(text)}: ${task.name} takes ${
          names.map((name) => `${name}=VALUE`).join(", ")
        }${near}`,
      );
    }
    options[name] = valueOf(row, value);
  }
  // What was stored before an option existed has its default.
  const all = { ...defaultsOf(task.options), ...defaults } as OptionsOf<OptionTable>;
  return { name: task.name, options: resolveOptions(`the task ${task.name}`, task.options, options, all) };
}

/** Refuses `--shots` where it changes nothing. @throws {UsageError} saying why. */
export function checkShots(task: TaskFacts | undefined, chosen: ChosenTask | undefined): void {
  const row = task && Object.hasOwn(task.options, SHOTS) ? task.options[SHOTS] : undefined;
  if (!row || !chosen) {
    throw new UsageError(`--shots changes nothing with this task, which has no examples: leave it out`);
  }
  const reason = idleBecauseOf(row, chosen.options);
  if (reason === undefined) return;
  throw new UsageError(`--shots changes nothing with --task-option ${reason}=${chosen.options[reason]}: leave it out`);
}

/** The option that `--shots` sets. */
export const SHOTS = "shots";

/** The options of a preset. @throws {UsageError} if there is none of that name. */
function presetOf({ name, presets = {} }: TaskFacts, preset: string): Readonly<Record<string, OptionValue>> {
  if (Object.hasOwn(presets, preset)) return presets[preset] as Readonly<Record<string, OptionValue>>;
  const names = Object.keys(presets), there = names.length === 0 ? "it has none" : `it has ${names.join(", ")}`;
  throw new UsageError(`--task-option cannot be preset=${preset}: ${there}, of the task ${name}`);
}

/** A value as it was typed; where it is none, the text itself, which the row refuses with its range. */
function valueOf(row: OptionRow, text: string): OptionValue {
  if (row.kind === "choice" || row.kind === "text") return text;
  if (row.kind === "toggle") return text === "true" ? true : text === "false" ? false : text;
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value)) return value;
  throw new UsageError(`--task-option cannot be ${JSON.stringify(text)} there: it must be ${rangeOf(row)}`);
}

function splitOnce(text: string): [string, string | undefined] {
  const at = text.indexOf("=");
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

/** A task with its options as a person reads it: `recall (pairs 8, rounds 1)`. */
export function shownTask({ name, options }: ChosenTask): string {
  return `${name} (${Object.entries(options).map(([option, value]) => `${option} ${value}`).join(", ")})`;
}

/** The note of a checkpoint that says what its model was trained on. */
export function taskNote(task: ChosenTask): Record<"task", string> {
  return { task: JSON.stringify(task) };
}

/** The task that a checkpoint's notes say; undefined of text. @throws {UsageError} if it is none that is known. */
export function notedTask({ task: text }: Readonly<Record<string, string>>): ChosenTask | undefined {
  if (text === undefined) return undefined;
  try {
    const { name, options } = JSON.parse(text) as ChosenTask;
    if (typeof name === "string" && typeof options === "object" && options !== null) return { name, options };
  } catch {
    // Said below.
  }
  throw new UsageError(`the checkpoint says ${JSON.stringify(text)} of its task, which is none: give --task`);
}

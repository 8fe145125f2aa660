/** A task as what a run learns from. */
import type { BatchArrays, TaskInstance } from "../titans/mod.ts";
import { taskOf } from "../titans/tasks/mod.ts";
import { defaultsOf, type OptionsOf, type OptionTable } from "../titans/options/option_table.ts";
import { BYTES } from "./data/vocabulary.ts";
import { sha256Hex } from "./data/sha256.ts";
import type { RunSource } from "./run_source.ts";
import { readTaskFiles } from "./task_files.ts";
import { type ChosenTask, shownTask, taskNote } from "./task_flags.ts";

// Enough to notice that a generator makes other samples.
const HASHED = 100;

/**
 * Makes a task of its options, with the data that they name.
 * @param remark Receives notes about skipped files.
 * @throws {ConfigError} if they are at odds.
 */
export async function instanceOf(chosen: ChosenTask, remark?: (line: string) => void): Promise<TaskInstance> {
  const task = taskOf(chosen.name);
  const options = { ...defaultsOf(task.options), ...chosen.options } as OptionsOf<OptionTable>;
  return task.create(options, await readTaskFiles(task, chosen, remark));
}

/** The SHA-256 of the first test samples of a task. */
export async function hashSamples(task: TaskInstance): Promise<string> {
  const parts: Uint8Array[] = [];
  const visit = (data: BatchArrays): void => {
    for (const field of Object.keys(data).sort()) {
      const value = data[field];
      if (ArrayBuffer.isView(value)) parts.push(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
      else visit(value);
    }
  };
  visit(task.batches("test", HASHED, 0).batch(0));
  return await sha256Hex(await new Blob(parts as BlobPart[]).bytes());
}

/** A task as a source. */
export async function taskSource(chosen: ChosenTask): Promise<RunSource> {
  const notes: string[] = [], task = await instanceOf(chosen, (line) => notes.push(line));
  return {
    identity: { name: chosen.name, bytes: 0, sha256: await hashSamples(task) },
    requires: task.requires,
    objective: task,
    facts: {
      data: chosen.name,
      taskOptions: chosen.options,
      ...(task.chance ? { chance: task.chance } : {}),
      ...(task.baselines ? { baselines: task.baselines.names } : {}),
    },
    description: `task ${shownTask(chosen)}, samples of ${task.length} tokens`,
    length: task.length,
    unit: "token",
    notes,
    checkpointNotes: { ...taskNote(chosen), ...(task.bytes ? { vocabulary: BYTES.name } : {}) },
    data: ({ batch, accumulate, seed }) => task.batches("train", batch * accumulate, seed),
    held: ({ batch, seed }, tokens) => {
      const validation = task.batches("validation", batch, seed);
      const count = Math.max(1, Math.round(tokens / (task.length * batch)));
      const batches = Array.from({ length: count }, (_, step) => validation.batch(step));
      const baselines = task.baselines?.measure(batches) ?? {};
      return { batches, baselines, figures: (metrics) => ({ ...metrics, ...baselines }) };
    },
    stepFigures: () => ({}),
    [Symbol.dispose]: () => {},
  };
}

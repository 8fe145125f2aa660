/** The cases in which every task of the registry is tested: the defaults, and options with which there is more to see. */
import { type TaskFile, taskFiles, type TaskInstance } from "../../titans/mod.ts";
import { taskOf } from "../../titans/tasks/mod.ts";
import { type OptionRecord, resolveOptions } from "../../titans/options/option_table.ts";
import { packing } from "../../titans/tasks/dna/packed.ts";
import { chainFasta } from "./dna_data.ts";

/** Options of a task, and what it reads. */
export interface TaskCase {
  /** What differs from the defaults. */
  readonly options?: OptionRecord;
  /** Files by the path that an option names. */
  readonly files?: Readonly<Record<string, readonly TaskFile[]>>;
}

/** Cases by task; a task without any has its defaults. */
export const TASK_CASES: Readonly<Record<string, readonly TaskCase[]>> = {
  recall: [{}, { options: { pairs: 3, rounds: 2, keys: 5, values: 7 } }],
  series: [
    seriesCase({ lookback: 12, horizon: 5, patch: 4, stride: 2 }),
    seriesCase({
      lookback: 8,
      horizon: 3,
      patch: 4,
      stride: 4,
      channels: "mixed",
      covariates: "day",
      normalize: false,
    }),
  ],
  sinusoids: [{}, { options: { channels: 3, length: 20 } }],
  mqar: [{ options: { vocabulary: 32, loads: "16x2:2,32x8", testLoads: "16x2" } }],
  induction: [{ options: { length: 20 } }],
  copying: [{ options: { letters: 5, shortest: 3, longest: 6 } }],
  stateTracking: [
    { options: { shortest: 20, length: 24 } },
    { options: { group: "mod5", length: 24 } },
    { options: { group: "s3", tokens: "generators", shortest: 20, length: 24 } },
  ],
  inContextRecall: [{ options: { length: 32 } }],
  noisyInContextRecall: [{ options: { length: 32 } }],
  fuzzyInContextRecall: [{ options: { length: 60 } }],
  selectiveCopying: [{ options: { length: 24, copied: 6 } }],
  compression: [{ options: { length: 8 } }],
  memorization: [{ options: { length: 8 } }],
  babilong: [
    { options: { shortest: 96, length: 128, words: 20 } },
    { options: { question: "qa5", shortest: 200, length: 256, words: 20 } },
    { options: { question: "qa4", protocol: "fewShot", shortest: 900, length: 1000 } },
  ],
  dna: [
    dnaCase({ length: 20 }),
    dnaCase({ length: 30, reverseComplement: false, heldOut: 0.5, minQuality: 5 }),
  ],
  needle: [
    {},
    {
      options: { value: "uuid", haystack: "text", shortest: 700, length: 720, data: "text" },
      files: { text: [textFile("text", Array.from({ length: 80 }, (_, i) => `Sentence ${i} is here.`).join(" "))] },
    },
  ],
};

/** A genome of two records with a gap, as the task gets it. */
function dnaCase(options: OptionRecord): TaskCase {
  const reading = packing("genome.fa", {});
  reading.add(new TextEncoder().encode(`${chainFasta(20_000)}${"N".repeat(20)}\n${chainFasta(5000, 2)}`));
  return {
    options: { data: "genome.fa", ...options },
    files: { "genome.fa": [{ name: "genome.fa", bytes: reading.end() }] },
  };
}

/** A task in each of its cases. */
export function instancesOf(name: string): readonly TaskInstance[] {
  const task = taskOf(name);
  return (TASK_CASES[name] ?? [{}]).map(({ options, files }) =>
    task.create(resolveOptions(`the task ${name}`, task.options, options), files && taskFiles(files))
  );
}

/** A file of a text. */
export function textFile(name: string, text: string): TaskFile {
  return { name, bytes: new TextEncoder().encode(text) };
}

/** A table of hourly rows of which each number can be known from those before: two sinusoids and a line. */
function hourlyTable(rows: number): string {
  const lines = Array.from({ length: rows }, (_, i) => {
    const at = new Date(Date.UTC(2024, 0, 1, i)).toISOString().slice(0, 19).replace("T", " ");
    return `${at},${Math.sin(i / 5)},${(Math.cos(i / 3) + 2).toFixed(6)},${i * i % 97}`;
  });
  return `date,load,heat,day\n${lines.join("\n")}\n`;
}

function seriesCase(options: OptionRecord): TaskCase {
  return {
    options: { data: "table.csv", ...options },
    files: { "table.csv": [textFile("table.csv", hourlyTable(300))] },
  };
}

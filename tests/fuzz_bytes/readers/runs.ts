/** What a run folder holds beside tensors: its configuration and what it measured. */
import {
  checkRunConfig,
  newRecipe,
  recipeOf,
  resumedRunConfig,
  type RunConfig,
  type RunFlags,
} from "../../../cli/run_config.ts";
import { parseConfig, RunFolder } from "../../../cli/run_folder.ts";
import { openVocabulary } from "../../../cli/data/vocabulary.ts";
import { parseFlags } from "../../../cli/flags.ts";
import { trainCommand } from "../../../cli/train.ts";
import { defineConfig, defineOptimizer, Model } from "../../../titans/mod.ts";
import { letters } from "../mutate.ts";
import type { Random } from "../random.ts";
import type { ByteReader } from "../reader.ts";
import { json, jsonText } from "./json.ts";

const { values, given: GIVEN } = parseFlags(
  ["--width", "64", "--steps", "20", "--field", "text"],
  trainCommand.flags,
  "train",
);
const FLAGS = values as unknown as RunFlags;

const CONFIG: RunConfig = {
  version: "0.1.0",
  preset: "nano",
  model: defineConfig({ model: "mac" }),
  optimizer: defineOptimizer({ totalSteps: 10, warmupSteps: 5 }),
  batch: 2,
  seqLen: 16,
  accumulate: 1,
  seed: 0,
  steps: 10,
  data: { name: "a.txt", bytes: 1000, sha256: "00", recipe: newRecipe(FLAGS) },
};

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value, null, 2));

function config(random: Random): Uint8Array {
  if (random.oneIn(4)) return new TextEncoder().encode(jsonText(random));
  const changed = structuredClone(CONFIG) as unknown as Record<string, Record<string, unknown>>;
  for (let count = 1 + random.below(3); count > 0; count--) {
    const inside = random.pick(["", "model", "optimizer", "data"]),
      of = (inside === "" ? changed : changed[inside]) as Record<string, unknown> | undefined;
    if (typeof of !== "object" || of === null) continue;
    const value = random.oneIn(2)
      ? json(random)
      : random.pick([0, 1, 2, 3, 7, 64, 65536, 2 ** 20, 2 ** 31, 2 ** 53, -1, 0.5, 1e308]);
    Object.defineProperty(of, random.pick([...Object.keys(of), "stream", "recipe"]), {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return encode(changed);
}

async function readConfig(bytes: Uint8Array): Promise<void> {
  const stored = parseConfig(new TextDecoder().decode(bytes), "run"),
    given = bytes.length % 2 === 0 ? GIVEN as ReadonlySet<string> : new Set<string>();
  const config = resumedRunConfig(stored, FLAGS, { given, path: "run" });
  checkRunConfig(stored, "run");
  const { vocabulary } = recipeOf(config);
  if (!vocabulary.startsWith("bpe:")) await openVocabulary(vocabulary);
  new Model(config.model);
}

const STEP =
  '{"event":"step","step":1,"device":"cpu","loss":5.1,"bitsPerByte":7.2,"learningRate":0.003,"gradientNorm":1.5,"tokensPerSecond":100}\n';
const VALIDATION =
  '{"event":"validation","step":1,"device":"cpu","loss":5,"bitsPerByte":7,"bigramBitsPerByte":4,"bytes":64,"memoryNorm":1,"surpriseNorm":1,"memoryChange":1,"innerLoss":1,"updateNorm":1}\n';

function metrics(random: Random): Uint8Array {
  const line = (): string => {
    const event = JSON.parse(random.pick([STEP, VALIDATION]));
    for (let count = random.below(3); count > 0; count--) event[random.pick(Object.keys(event))] = json(random);
    return random.oneIn(6) ? jsonText(random) : JSON.stringify(event);
  };
  return new TextEncoder().encode(Array.from({ length: random.below(6) }, line).map((text) => `${text}\n`).join(""));
}

const FOLDER = `.scratch/fuzz_bytes_${crypto.randomUUID().slice(0, 8)}`;

async function readMetrics(bytes: Uint8Array): Promise<void> {
  await Deno.mkdir(FOLDER, { recursive: true });
  try {
    await Deno.writeFile(`${FOLDER}/metrics.jsonl`, bytes);
    const folder = await RunFolder.open(FOLDER, CONFIG, { step: 5 });
    folder.close();
    await folder.saveReport({ title: "x", status: "", facts: [], config: CONFIG });
    folder.history.isBest(1);
    const left = Array.from(Deno.readDirSync(FOLDER), ({ name }) => name).filter((name) => name.endsWith(".part"));
    if (left.length > 0) throw new Error(`half-written: ${left.join(", ")}`);
  } finally {
    await Deno.remove(FOLDER, { recursive: true });
  }
}

/** The readers. */
export const RUN_READERS: readonly ByteReader[] = [
  {
    name: "config",
    weight: 15,
    seeds: [encode(CONFIG), encode({ ...CONFIG, stream: 4096, streamOrder: 2 })],
    grammar: config,
    read: readConfig,
  },
  {
    name: "metrics",
    weight: 1,
    seeds: [letters(STEP + VALIDATION), letters(STEP.repeat(3) + VALIDATION)],
    grammar: metrics,
    read: readMetrics,
  },
];

/** `export`: writes a trained model as others share one, with its weights alone, and says what that costs. */
import { requestDevice } from "../kernels/mod.ts";
import { type Checkpoint, encodeWeights, Model, type NamedArrays, type Quantization } from "../titans/mod.ts";
import { decodeWeights } from "../titans/models/weights_file.ts";
import { findCheckpoint } from "./checkpoint_file.ts";
import { CHECKPOINT_FLAGS, DEVICE_FLAGS, deviceOptions, OUTPUT_FLAGS, QUANTIZE_FLAG } from "./common_flags.ts";
import { CACHE } from "./data/cache.ts";
import { UsageError } from "./errors.ts";
import { exportConfig, isExport, takeExportFolder, WEIGHTS_FILE, writeExport } from "./exported_model.ts";
import { integer, parseFlags, required, text, type Values } from "./flags.ts";
import type { Command } from "./help.ts";
import { measuredOf } from "./measured.ts";
import { modelCard, UNKNOWN_LICENSE } from "./model_card.ts";
import { asCalled, shellWord } from "./program.ts";
import { formatCount } from "./progress.ts";
import { costLines, type QuantizationCost } from "./quantization_cost.ts";
import { checkRunConfig, type RunConfig } from "./run_config.ts";
import { latestRun, readConfig, readMetrics, RUNS } from "./run_folder.ts";
import { notedTask, TEXT_TASK } from "./task_flags.ts";
import type { Terminal } from "./terminal.ts";
import { readPaths } from "./user_path.ts";
import { VERSION } from "./version.ts";

const FLAGS = {
  hf: required("DIR", `new folder, below ${RUNS}/, for \`config.json\`, \`model.safetensors\` and \`README.md\``),
  license: text("ID", "licence in the card, as the Hub calls it, such as `mit`", UNKNOWN_LICENSE),
  ...CHECKPOINT_FLAGS,
  quantize: QUANTIZE_FLAG,
  samples: integer("windows or samples to measure a quantized model on; 0 for none", 256, { min: 0, max: 2 ** 24 }),
  cache: text("DIR", "where prepared texts are", CACHE),
  ...DEVICE_FLAGS,
  ...OUTPUT_FLAGS,
} as const;

/** The command `export`. */
export const exportCommand: Command = {
  summary: "write a trained model as a folder to share",
  description: [
    "Writes a folder as on the Hugging Face Hub: what the model is, its weights without what training keeps, and a card",
    "with data, licence, command and figures of its run. All commands read it with --checkpoint, other programs with any",
    "safetensors reader. With --quantize, shows size and figures before and after.",
  ].join("\n"),
  examples: [
    ["deno task export --hf runs/my-model --license mit", "the newest run"],
    ["deno task export --checkpoint runs/lmm-nano --which last --hf runs/lmm", "the last state of a given run"],
    ["deno task export --hf runs/small-model --quantize int8", "in a quarter of the size"],
    ["deno task generate --checkpoint runs/my-model", "use it"],
  ],
  flags: FLAGS,
  run: exportModel,
};

type ExportFlags = Values<typeof FLAGS>;

async function exportModel(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseFlags(args, FLAGS, "export"), flags = { ...values, ...readPaths(values) };
  const { hf, quantize } = flags;
  if (hf === undefined) throw new UsageError("export needs a folder to write: give one with --hf DIR");
  const path = flags.checkpoint ?? await latestRun(RUNS);
  const { checkpoint, file } = await findCheckpoint(path, flags.which);
  const model = new Model(checkpoint.config), { state: { params, step } } = checkpoint;
  const run = await runOf(path), title = hf.split("/").filter(Boolean).at(-1) ?? hf;
  await takeExportFolder(hf);
  const weights = encodeWeights(model, params, { quantize });
  const cost = quantize && await costOf(quantize, { checkpoint, model, weights, path, flags, run });
  const validations = (await readMetrics(path)).filter(({ event }) => event === "validation");
  const card = modelCard({
    title,
    model,
    version: VERSION,
    step,
    license: flags.license,
    run,
    validation: validations.findLast((event) => event.step === step) as Parameters<typeof modelCard>[0]["validation"],
    quantization: cost ? costLines(cost) : [],
  });
  await writeExport(hf, { config: exportConfig(checkpoint, { version: VERSION, run }), weights, card });
  const done = { event: "export", folder: hf, checkpoint: file, step, bytes: weights.length, ...cost };
  if (flags.json) terminal.out(`${JSON.stringify(done)}\n`);
  else {
    const next = `deno task generate --checkpoint ${shellWord(hf)}`;
    const lines = [
      `${hf}: ${WEIGHTS_FILE} with ${formatCount(weights.length)} bytes, config.json, README.md`,
      ...(cost ? costLines(cost) : []),
      asCalled(`use it with: ${next}`),
    ];
    terminal.out(`${lines.join("\n")}\n`);
  }
  return 0;
}

/** The configuration of the run in a folder; undefined for a checkpoint by itself. */
async function runOf(path: string): Promise<RunConfig | undefined> {
  const stored = await readConfig(path).catch(() => undefined);
  // Of an exported model, only those that have come from a run say all of it.
  if (stored === undefined || isExport(stored) && !Object.hasOwn(stored as object, "data")) return undefined;
  return checkRunConfig(stored, path);
}

interface Quantized {
  readonly checkpoint: Checkpoint;
  readonly model: Model;
  readonly weights: Uint8Array;
  readonly path: string;
  readonly flags: ExportFlags;
  readonly run?: RunConfig;
}

/** What quantizing costs: bytes, and how much worse the model is on what was held out. */
async function costOf(
  quantize: Quantization,
  { checkpoint, model, weights, path, flags, run }: Quantized,
): Promise<QuantizationCost> {
  const { state: { params }, notes = {} } = checkpoint;
  const cost = { quantize, bytesBefore: encodeWeights(model, params).length, bytes: weights.length };
  if (!run || flags.samples === 0) return cost;
  const trained = notedTask(notes), name = trained?.name ?? TEXT_TASK, { samples, cache } = flags;
  const measured = await measuredOf({ name, taskOption: [], samples, cache, path, trained, notes });
  const device = await requestDevice(deviceOptions(flags));
  try {
    const scoresOf = (arrays: NamedArrays) => {
      const params = device.upload(model.layout.pack(arrays), { shape: [model.layout.size], dtype: "f32" });
      return measured.evaluate(device, model, { params, batch: 16 });
    };
    const before = await scoresOf(params), after = await scoresOf(decodeWeights(weights, model));
    const figure = (before.find(({ name }) => name === "bitsPerByte") ?? before[0]).name;
    const valueOf = (scores: typeof before) => scores.find(({ name }) => name === figure)!.value;
    return { ...cost, measured: { figure, before: valueOf(before), after: valueOf(after), on: measured.title } };
  } finally {
    device.dispose();
  }
}

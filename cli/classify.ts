/** `classify`: trains a classifier of DNA sequences, from scratch or from a pretrained model, and tests it. */
import { type Device, requestDevice } from "../kernels/mod.ts";
import {
  type Checkpoint,
  defineConfig,
  LayerNetwork,
  Model,
  MODEL_OPTIONS,
  type ModelKind,
  type Network,
  type PresetName,
  PRESETS,
  type Score,
  withParameters,
} from "../titans/mod.ts";
import { classFigures } from "../titans/tasks/dna/class_figures.ts";
import { classFloors } from "../titans/tasks/dna/class_floors.ts";
import { cnn } from "../titans/tasks/dna/cnn.ts";
import { FOLDS, type LabelledData, splitSequences } from "../titans/tasks/dna/labelled.ts";
import { NUCLEOTIDES } from "../titans/tasks/dna/nucleotides.ts";
import { findCheckpoint } from "./checkpoint_file.ts";
import { type Classified, fitClassifier, type Judgement, PretrainedModel } from "./classify_fit.ts";
import { CHECKPOINT_FLAGS, DEVICE_FLAGS, deviceOptions, OUTPUT_FLAGS } from "./common_flags.ts";
import { UsageError } from "./errors.ts";
import { makeFolder, writeAtomic } from "./files.ts";
import { choice, integer, number, parseFlags, required, text, toggle, under, type Values } from "./flags.ts";
import type { Command } from "./help.ts";
import { type Interrupt, listenForInterrupt } from "./interrupt.ts";
import { MODEL_FLAGS, modelOptions, SIZE_FLAGS } from "./model_flags.ts";
import { formatCount, formatDuration } from "./progress.ts";
import { inWordsOf } from "./run_config.ts";
import { RUNS } from "./run_folder.ts";
import { scoreTable } from "./score_table.ts";
import { readSequenceData } from "./sequence_data.ts";
import { fitLine, type Terminal } from "./terminal.ts";
import { userPath } from "./user_path.ts";

const CNN = "cnn";

const FLAGS = {
  data: required("PATH", "folder or file of sequences with classes: see docs/dna.md for the layouts"),
  model: {
    ...choice(
      [...Object.keys(MODEL_OPTIONS.model.choices), CNN],
      `what reads: a model of \`train\`, or \`${CNN}\`, the convolutional baseline of GenomicsBenchmarks`,
      MODEL_OPTIONS.model.default,
    ),
    placeholder: "NAME",
  },
  checkpoint: {
    ...CHECKPOINT_FLAGS.checkpoint,
    help: "run of `train --task dna` to begin with, instead of a model from scratch",
    unless: "from scratch",
  },
  which: CHECKPOINT_FLAGS.which,
  preset: choice(Object.keys(PRESETS) as PresetName[], "size of the model", "nano"),
  ...SIZE_FLAGS,
  ...under("Data", {
    sequenceColumn: { ...text("COLUMN", "of tables, the column of sequences"), unless: "sequence, seq or dna" },
    labelColumn: { ...text("COLUMN", "of tables, the column of classes"), unless: "label, class, target or y" },
    length: {
      ...integer("nucleotides that are read; longer sequences are cut at their end", undefined, {
        min: 8,
        max: 2 ** 20,
      }),
      unless: "those of the longest",
    },
    minQuality: integer("nucleotides of FASTQ of a lower quality (Phred) are read as N", 0, { min: 0, max: 93 }),
    fold: integer(`of data without a test part, which of ${FOLDS} parts of each class is tested on`, FOLDS - 1, {
      min: 0,
      max: FOLDS - 1,
    }),
    positive: { ...text("CLASS", "of two classes, the one that is looked for"), unless: "the last by name" },
  }),
  ...under("Training", {
    epochs: integer("times that all sequences are trained on, at most", 20, { min: 1, max: 10_000 }),
    patience: integer("epochs without a better validation after which training ends", 4, { min: 1, max: 10_000 }),
    batch: integer("sequences of a step", 32, { min: 1, max: 2 ** 14 }),
    lr: number("learning rate after warm-up over 1% of the steps; a cosine takes it to a tenth", 1e-3, {
      min: 0,
      aboveMin: true,
    }),
    weightDecay: number("decoupled weight decay, of matrices only", 0.1, { min: 0 }),
    tokenDropout: number("share of nucleotides that are replaced by N in training", 0.1, { min: 0, max: 1 }),
    reverseComplement: toggle("replace half of the sequences by their reverse complements in training"),
    seed: integer("seed of the first weights, the order of sequences and what is replaced", 0, {
      min: 0,
      max: 2 ** 32 - 1,
    }),
  }),
  out: { ...text("DIR", "folder for results.json and predictions.csv"), unless: `one of the data's name in ${RUNS}/` },
  ...DEVICE_FLAGS,
  ...OUTPUT_FLAGS,
  ...MODEL_FLAGS,
} as const;

type ClassifyFlags = Values<typeof FLAGS>;

/** The command `classify`. */
export const classifyCommand: Command = {
  summary: "tell classes of DNA sequences, by a model that was pretrained or from scratch",
  description: [
    "Trains a classifier of DNA sequences, takes the epoch that is best on a validation part, and measures it once on",
    "the test part, beside the commonest class and logistic regressions on 4-mers and on places. Reads folders as",
    "GenomicsBenchmarks has them, FASTA or FASTQ per class, and tables with a column of sequences and one of labels.",
  ].join("\n"),
  examples: [
    ["deno task classify --data human_nontata_promoters/", "a folder of train/CLASS/*.txt and test/CLASS/*.txt"],
    ["deno task classify --data promoters/ --model cnn", "the convolutional baseline, on the same parts"],
    ["deno task classify --data promoters/ --checkpoint runs/dna-lmm-nano", "fine-tunes what `train --task dna` made"],
    ["deno task classify --data sites.csv --label-column kind", "a table"],
  ],
  flags: FLAGS,
  run: classify,
};

async function classify(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values: flags, given } = parseFlags(args, FLAGS, "classify");
  if (flags.data === undefined) throw new UsageError("classify needs sequences: give --data PATH");
  checkFlags(flags, given);
  using interrupt = listenForInterrupt(terminal);
  const path = userPath(flags.data).replace(/(.)[/\\]+$/, "$1"), minQuality = flags.minQuality;
  const sequences = await readSequenceData(path, {
    sequence: flags.sequenceColumn,
    label: flags.labelColumn,
    minQuality,
  }, (line) => terminal.err(`${line}\n`));
  const data = splitSequences(sequences, flags.fold), positive = positiveOf(flags.positive, data.classes);
  const length = flags.length ?? Math.max(8, data.longest), network = await networkOf(flags, data, length);
  const out = flags.out ?? `${RUNS}/classify-${path.split(/[/\\]/).at(-1)!.replace(/[^\w.-]+/g, "-")}`;
  const say = (line: string, event: object): void =>
    terminal.out(flags.json ? `${JSON.stringify(event)}\n` : `${line}\n`);
  sayStart(say, { flags, data, length, network });
  await makeFolder(out, "--out");
  const device = await requestDevice(deviceOptions(flags)), began = performance.now();
  try {
    const found = await train(device, { flags, network, data, length, say, terminal, interrupt });
    const scores = [{ name: "loss", value: found.test.loss, count: data.test.length }, ...figuresOf(found, positive)];
    const floors = classFloors(data, positive), seconds = (performance.now() - began) / 1000;
    const results = {
      event: "test",
      data: path,
      model: flags.checkpoint ?? flags.model,
      parameters: network.layout.parameterCount,
      device: device.info.kind,
      classes: data.classes,
      positive: data.classes[positive],
      sequences: countsOf(data),
      seed: flags.seed,
      best: found.best,
      seconds,
      scores,
      floors,
      confusion: found.test.confusion,
    };
    await writeAtomic(`${out}/results.json`, `${JSON.stringify({ ...results, epochs: found.epochs }, null, 2)}\n`);
    await writeAtomic(`${out}/predictions.csv`, predictionsCsv(data, found.test));
    const title = `epoch ${found.best.epoch} on the ${formatCount(data.test.length)} sequences of the test part`;
    say(`\n${scoreTable(scores, floors, title)}`, results);
    say(`results in ${out}/results.json, predictions in ${out}/predictions.csv`, { event: "done", out });
    return 0;
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    terminal.err("stopped before the end: nothing was written\n");
    return interrupt.exitCode;
  } finally {
    device.dispose();
  }
}

class Stopped extends Error {}

/** Refuses flags that change nothing. */
function checkFlags(flags: ClassifyFlags, given: ReadonlySet<string>): void {
  const other = flags.checkpoint !== undefined ? "--checkpoint" : flags.model === CNN ? `--model ${CNN}` : undefined;
  if (other === undefined) {
    if (given.has("which")) throw new UsageError("--which changes nothing without --checkpoint: leave it out");
    return;
  }
  const sizes = ["preset", "parameters", ...(other === "--checkpoint" ? ["model"] : ["which"])];
  const idle = sizes.some((key) => given.has(key)) || Object.keys(modelOptions(flags)).length > 0;
  if (idle) {
    throw new UsageError(`flags of a model's options change nothing with ${other}: leave them out`);
  }
}

function positiveOf(name: string | undefined, classes: readonly string[]): number {
  if (name === undefined) return classes.length - 1;
  if (classes.length > 2) {
    throw new UsageError(`--positive is for two classes, there are ${classes.length}: leave it out`);
  }
  const found = classes.indexOf(name);
  if (found >= 0) return found;
  throw new UsageError(`--positive cannot be ${JSON.stringify(name)}: the classes are ${classes.join(" and ")}`);
}

/** The network that flags ask for. */
async function networkOf(flags: ClassifyFlags, { classes }: LabelledData, length: number): Promise<Network> {
  const requires = { vocabulary: NUCLEOTIDES.length, outputs: classes.length };
  if (flags.checkpoint !== undefined) {
    const { checkpoint, file } = await findCheckpoint(userPath(flags.checkpoint), flags.which);
    return pretrained(checkpoint, file, requires.outputs);
  }
  if (flags.model === CNN) return new LayerNetwork(CNN, cnn(length, classes.length)) as Network;
  return inWordsOf(flags, () => {
    const config = defineConfig(
      { model: flags.model as ModelKind, ...modelOptions(flags), ...requires },
      flags.preset,
    );
    return new Model(flags.parameters === undefined ? config : withParameters(config, flags.parameters));
  });
}

function pretrained({ config, state }: Checkpoint, file: string, outputs: number): Network {
  if (config.vocabulary !== NUCLEOTIDES.length) {
    throw new UsageError(
      `--checkpoint cannot be ${file}: it reads ${config.vocabulary} tokens, nucleotides are ${NUCLEOTIDES.length}; give a run of train --task dna`,
    );
  }
  return new PretrainedModel({ ...config, outputs }, state.params);
}

function countsOf({ train, validation, test }: LabelledData): Readonly<Record<string, number>> {
  return { train: train.length, validation: validation.length, test: test.length };
}

function sayStart(
  say: (line: string, event: object) => void,
  { flags, data, length, network }: {
    readonly flags: ClassifyFlags;
    readonly data: LabelledData;
    readonly length: number;
    readonly network: Network;
  },
): void {
  const { train, validation, test, classes } = data, all = [...train, ...validation, ...test];
  const cut = all.filter(({ tokens }) => tokens.length > length).length;
  const counts = classes.map((label) => `${label} ${formatCount(all.filter((one) => one.label === label).length)}`);
  say(
    [
      `${formatCount(all.length)} sequences of up to ${formatCount(data.longest)} nucleotides: ${counts.join(", ")}`,
      `${formatCount(train.length)} to train on, ${formatCount(validation.length)} to validate, ${
        formatCount(test.length)
      } to test`,
      ...(cut > 0 ? [`${formatCount(cut)} are cut to ${formatCount(length)} nucleotides`] : []),
      String(network),
    ].join("\n"),
    {
      event: "start",
      data: flags.data,
      classes,
      sequences: countsOf(data),
      length,
      cut,
      model: String(network),
      parameters: network.layout.parameterCount,
    },
  );
}

function train(
  device: Device,
  { flags, network, data, length, say, terminal, interrupt }: {
    readonly flags: ClassifyFlags;
    readonly network: Network;
    readonly data: LabelledData;
    readonly length: number;
    readonly say: (line: string, event: object) => void;
    readonly terminal: Terminal;
    readonly interrupt: Interrupt;
  },
): Promise<Classified> {
  const began = performance.now(), shows = terminal.interactive && !flags.json;
  return fitClassifier(device, {
    ...flags,
    network,
    data,
    length,
    rows: flags.batch,
    learningRate: flags.lr,
    progress: (done, most, loss) => {
      if (interrupt.requested) throw new Stopped();
      if (!shows) return;
      const left = (performance.now() - began) / 1000 * (most - done) / done;
      const parts = [`step ${done} of at most ${most}`, `loss ${loss.toFixed(4)}`, `ETA ${formatDuration(left)}`];
      terminal.err(`\r\x1b[K${done === most ? "" : fitLine(parts, terminal)}`);
    },
    report: (epoch) => {
      if (shows) terminal.err("\r\x1b[K");
      const { training, validation, accuracy } = epoch;
      say(
        `epoch ${epoch.epoch}: training ${training.toFixed(4)}, validation ${validation.toFixed(4)}, accuracy ${
          accuracy.toFixed(4)
        }`,
        { event: "epoch", ...epoch },
      );
    },
  });
}

function figuresOf({ test: { confusion } }: Classified, positive: number): readonly Score[] {
  return classFigures(confusion, positive);
}

/** The test part with what was said of it. */
function predictionsCsv({ test, classes }: LabelledData, { probabilities, predicted }: Judgement): string {
  const quoted = (name: string): string => /[",\r\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
  const head = ["id", "class", "predicted", ...classes.map((name) => `p ${name}`)].map(quoted).join(",");
  const lines = test.map(({ id, label }, i) =>
    [
      quoted(id),
      quoted(label),
      quoted(classes[predicted[i]]),
      ...classes.map((_, c) => Number(probabilities[i * classes.length + c].toPrecision(5))),
    ].join(",")
  );
  return `${head}\n${lines.join("\n")}\n`;
}

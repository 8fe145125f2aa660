/** `classify`: trains a classifier of texts or DNA sequences and tests it, or predicts classes with one that was trained. */
import { CNN, loadClassifier } from "./classifier_file.ts";
import { CLASSIFY_FLAGS, type ClassifyFlags } from "./flags.ts";
import { predictClasses } from "./predict.ts";
import type { ClassifyContext } from "./context.ts";
import { FitRun } from "../fit/fit_run.ts";
import { trainClassifiers } from "./train.ts";
import { UsageError } from "../errors.ts";
import { flagName, parseFlags } from "../flags.ts";
import type { Command } from "../help.ts";
import { listenForInterrupt } from "../interrupt.ts";
import { modelOptions } from "../model_flags.ts";
import type { Terminal } from "../terminal.ts";
import { userPath } from "../user_path.ts";

/** The command `classify`. */
export const classifyCommand: Command = {
  summary: "tell classes of texts or DNA sequences, by a model that was pretrained or from scratch",
  description: [
    "Trains a classifier of texts or DNA sequences, takes the epoch that is best on a validation part, and measures it",
    "once on the test part, beside the commonest class and what n-grams tell. Reads tables and JSON lines with a column",
    "of texts and one of classes, folders with a folder for each class, lines as fastText has them, and FASTA or FASTQ",
    "per class. The classifier is kept: given with --checkpoint, it predicts the classes of other samples.",
  ].join("\n"),
  examples: [
    ["deno task classify --data reviews.csv --text review --label stars", "a table, also .tsv, .jsonl and .json"],
    ["deno task classify --data mail/ --checkpoint builtin:text", "fine-tunes a model of text on folders of classes"],
    ["deno task classify --data - --checkpoint runs/classify-mail --json", "predicts the classes of lines"],
    ["deno task classify --data human_nontata_promoters/", "a folder of train/CLASS/*.txt and test/CLASS/*.txt"],
    ["deno task classify --data promoters/ --model cnn", "the convolutional baseline, on the same parts"],
    ["deno task classify --data promoters/ --model cnn --folds 10", "cross-validation: means and deviations"],
    ["deno task classify --data promoters/ --checkpoint runs/dna-lmm-nano", "fine-tunes what `train --task dna` made"],
    [
      "deno task classify --data promoters/ --checkpoint runs/dna-lmm-nano --compare-scratch --folds 5",
      "what pretraining is worth",
    ],
    [
      "deno task classify --data new.fa --checkpoint runs/classify-promoters",
      "predicts the classes of other sequences",
    ],
  ],
  flags: CLASSIFY_FLAGS,
  run: classify,
};

async function classify(args: readonly string[], terminal: Terminal): Promise<number> {
  const parsed = parseFlags(args, CLASSIFY_FLAGS, "classify"), { given } = parsed;
  using interrupt = listenForInterrupt(terminal);
  const { resume, checkpoint } = parsed.values;
  const classifier = resume || checkpoint === undefined ? undefined : await loadClassifier(userPath(checkpoint));
  const contextOf = (flags: ClassifyFlags): ClassifyContext => {
    if (flags.data === undefined) throw new UsageError("classify needs texts or sequences: give --data PATH");
    const path = userPath(flags.data).replace(/(.)[/\\]+$/, "$1");
    const say = (line: string, event: object): void =>
      terminal.out(flags.json ? `${JSON.stringify(event)}\n` : `${line}\n`);
    return { flags, path, say, terminal, interrupt };
  };
  if (classifier) {
    checkPredictFlags(given);
    return await predictClasses(classifier, contextOf(parsed.values));
  }
  if (!resume) checkFlags(parsed.values, given);
  using run = await FitRun.open("classify", parsed);
  const context = contextOf(run.flags);
  if (context.path === "-") {
    throw new UsageError(
      "--data - is what a trained classifier predicts: give one with --checkpoint, or a file to train on",
    );
  }
  return await trainClassifiers(context, run);
}

/** Flags that mean something where a classifier predicts. */
const PREDICTING: readonly (keyof ClassifyFlags)[] = [
  ...["data", "checkpoint", "text", "label", "minQuality", "positive", "batch", "out"] as const,
  ...["device", "shaderCache", "nativeCache", "threads", "json", "verbose"] as const,
];

function checkPredictFlags(given: ReadonlySet<string>): void {
  const idle = [...given].find((key) => !(PREDICTING as readonly string[]).includes(key));
  if (idle === undefined) return;
  throw new UsageError(
    `${
      flagName(idle)
    } changes nothing where --checkpoint is a classifier, which predicts: leave it out, or give a run of train`,
  );
}

/** Refuses flags that change nothing. */
function checkFlags(flags: ClassifyFlags, given: ReadonlySet<string>): void {
  if (flags.folds !== undefined && given.has("fold")) {
    throw new UsageError("--fold names one test part, --folds takes each in turn: leave one of them out");
  }
  if (flags.compareScratch && flags.checkpoint === undefined) {
    throw new UsageError("--compare-scratch compares with what a run of train learned: give it with --checkpoint");
  }
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

/** `classify` without a trained classifier: trains one or several, measures each once, and keeps what came out. */
import type { Device } from "../../kernels/mod.ts";
import { defineConfig, type ModelKind, type Network, type Score, withParameters } from "../../titans/mod.ts";
import { classFigures } from "../../titans/tasks/classification/class_figures.ts";
import { classFloors } from "../../titans/tasks/classification/class_floors.ts";
import { foldsOf, type LabelledData, splitSequences } from "../../titans/tasks/classification/labelled.ts";
import { findCheckpoint } from "../checkpoint_file.ts";
import { confusionTable, predictionsCsv } from "./predictions.ts";
import { summarizeTrials, type Trial, trialTable } from "./trials.ts";
import { type ClassifierFacts, classifierNetwork, CNN, saveClassifier } from "./classifier_file.ts";
import { type ClassifyContext, positiveOf } from "./context.ts";
import { type Classified, type ClassifyEpoch, fitClassifier, PretrainedModel } from "./fit.ts";
import type { ClassifyFlags } from "./flags.ts";
import { deviceOptions } from "../common_flags.ts";
import { UsageError } from "../errors.ts";
import { writeAtomic } from "../files.ts";
import type { FitKeeper } from "../fit/epochs.ts";
import type { FitFigures } from "../fit/fit_config.ts";
import { firstWeights, type FitRun } from "../fit/fit_run.ts";
import { timeLeft } from "../fit/time_left.ts";
import { modelOptions } from "../model_flags.ts";
import { formatCount } from "../progress.ts";
import { inWordsOf } from "../run_config.ts";
import { type Floors, scoreTable } from "../score_table.ts";
import { identityOf, readLabelledData } from "./labelled_data.ts";
import { fitLine } from "../terminal.ts";
import { userPath } from "../user_path.ts";

/** A network to train. */
interface Entry {
  readonly name: string;
  readonly facts: ClassifierFacts;
  readonly network: Network;
}

/** A network that was trained and tested on a part. */
interface Tested extends Trial {
  readonly data: LabelledData;
  readonly found: Classified;
}

/** Trains what the flags ask for. @param run Whose folder is taken once it is known what is trained. */
export async function trainClassifiers(context: ClassifyContext, run: FitRun<ClassifyFlags>): Promise<number> {
  const { flags, path, terminal, interrupt } = context;
  const set = await readLabelledData(path, flags, (line) => terminal.err(`${line}\n`)), { alphabet } = set;
  if (flags.reverseComplement && !alphabet.reverseComplement) {
    throw new UsageError(`--reverse-complement is for DNA, ${path} has ${alphabet.samples}: leave it out`);
  }
  const parts = flags.folds === undefined ? [splitSequences(set, flags.fold)] : foldsOf(set, flags.folds);
  const [{ classes, longest }] = parts, positive = positiveOf(flags.positive, classes);
  const length = flags.length ?? Math.min(alphabet.length ?? Infinity, Math.max(8, longest));
  const entries = await entriesOf(context, { classes, positive, alphabet, length });
  sayStart(context, { parts, length, network: entries[0].network });
  const name = `classify-${path.split(/[/\\]/).at(-1)!.replace(/[^\w.-]+/g, "-")}`;
  const weights = await Promise.all(entries.map(({ network }) => firstWeights(network, flags.seed)));
  await run.begin(name, { data: await identityOf(set), weights: weights.join() });
  return await run.carryOut(deviceOptions(flags), { terminal, interrupt }, async (device) => {
    const began = performance.now(), trials = await runTrials(device, { context, run, parts, entries, positive });
    const seconds = (performance.now() - began) / 1000;
    await keepResults({ context, run, parts, entries, positive }, { trials, device: device.info.kind, seconds });
    return meansOf(trials.filter(({ entry }) => entry === entries[0].name));
  });
}

/** The loss and the accuracy of a network, each the mean over folds. */
function meansOf(trials: readonly Tested[]): FitFigures {
  const mean = (figure: string): number =>
    trials.reduce((sum, { scores }) => sum + scores.find(({ name }) => name === figure)!.value, 0) / trials.length;
  return { loss: mean("loss"), accuracy: mean("accuracy") };
}

/** Trainings. */
interface Trials {
  readonly context: ClassifyContext;
  readonly run: FitRun<ClassifyFlags>;
  /** Folds, or the one cut of the data. */
  readonly parts: readonly LabelledData[];
  readonly entries: readonly Entry[];
  /** The class that is looked for. */
  readonly positive: number;
}

/** Trains and tests every network on every part; what was trained before is only tested. */
async function runTrials(
  device: Device,
  { context, run, parts, entries, positive }: Trials,
): Promise<readonly Tested[]> {
  const trials: Tested[] = [], count = parts.length * entries.length;
  for (const [fold, data] of parts.entries()) {
    const floors = classFloors(data, positive);
    for (const entry of entries) {
      const number = trials.length, which = count === 1 ? undefined : { number, count, fold, entry: entry.name };
      const keeper = await run.keeper<ClassifyEpoch>(entry.network, context.interrupt, number);
      const found = await train(device, { context, entry, data, which, keeper });
      const scores = scoresOf(found, data, positive);
      trials.push({ fold, entry: entry.name, scores, floors, data, found });
      if (which) sayTrial(context, trials.at(-1)!, parts.length);
    }
  }
  return trials;
}

/** Writes what came out. */
async function keepResults(
  { context, run: { path: out }, parts, entries: [{ network, facts }], positive }: Trials,
  { trials, device, seconds }: {
    readonly trials: readonly Tested[];
    readonly device: string;
    readonly seconds: number;
  },
): Promise<void> {
  const { flags, path, say } = context, { classes, alphabet } = facts;
  const common = {
    data: path,
    model: flags.checkpoint ?? flags.model,
    parameters: network.layout.parameterCount,
    device,
    classes,
    alphabet: alphabet.name,
    positive: classes[positive],
    seed: flags.seed,
    seconds,
  };
  if (trials.length === 1) await keepOne(context, { trial: trials[0], common, out });
  else await keepSeveral(context, { trials, common, out, folds: parts.length });
  // Which of several folds would be the classifier? Trained on all of them but one, none is.
  if (flags.folds === undefined) await saveClassifier(out, { ...facts, network, params: trials[0].found.params });
  const classifier = flags.folds === undefined ? `classifier and results` : "results";
  say(`${classifier} in ${out}, predictions in ${out}/predictions.csv`, { event: "done", out });
}

/** The networks that flags ask for; the first one is what it is about. */
async function entriesOf({ flags }: ClassifyContext, facts: Omit<ClassifierFacts, "model">): Promise<readonly Entry[]> {
  const { alphabet } = facts, requires = { vocabulary: alphabet.size, outputs: facts.classes.length };
  const fresh = (name: string, model: ClassifierFacts["model"]): Entry => {
    const own = { ...facts, model };
    return { name, facts: own, network: classifierNetwork(own) };
  };
  if (flags.checkpoint !== undefined) {
    const { checkpoint: { config, state }, file } = await findCheckpoint(userPath(flags.checkpoint), flags.which);
    if (config.vocabulary !== alphabet.size) {
      throw new UsageError(
        `--checkpoint cannot be ${file}: it reads ${config.vocabulary} tokens, ${alphabet.name} are ${alphabet.size}; give a run of ${alphabet.pretraining}`,
      );
    }
    const model = { ...config, outputs: requires.outputs };
    const tuned = { name: "pretrained", facts: { ...facts, model }, network: new PretrainedModel(model, state.params) };
    return flags.compareScratch ? [tuned, fresh("from scratch", model)] : [tuned];
  }
  if (flags.model === CNN) return [fresh(CNN, CNN)];
  return inWordsOf(flags, () => {
    const config = defineConfig(
      { model: flags.model as ModelKind, ...modelOptions(flags), ...requires },
      flags.preset,
    );
    return [
      fresh(flags.model, flags.parameters === undefined ? config : withParameters(config, flags.parameters)),
    ];
  });
}

function countsOf({ train, validation, test }: LabelledData): Readonly<Record<string, number>> {
  return { train: train.length, validation: validation.length, test: test.length };
}

function sayStart(
  { flags, say }: ClassifyContext,
  { parts, length, network }: {
    readonly parts: readonly LabelledData[];
    readonly length: number;
    readonly network: Network;
  },
): void {
  const [data] = parts,
    { samples, name: tokens } = data.alphabet,
    { train, validation, test, classes } = data,
    all = [...train, ...validation, ...test];
  const cut = all.filter(({ tokens }) => tokens.length > length).length;
  const counts = classes.map((label) => `${label} ${formatCount(all.filter((one) => one.label === label).length)}`);
  const about = `${formatCount(train.length)} to train on, ${formatCount(validation.length)} to validate, ${
    formatCount(test.length)
  } to test`;
  say(
    [
      `${formatCount(all.length)} ${samples} of up to ${formatCount(data.longest)} ${tokens}: ${counts.join(", ")}`,
      flags.folds === undefined ? about : `${flags.folds} folds; in the first, ${about}`,
      ...(cut > 0 ? [`${formatCount(cut)} are cut to ${formatCount(length)} ${tokens}`] : []),
      String(network),
    ].join("\n"),
    {
      event: "start",
      data: flags.data,
      classes,
      alphabet: tokens,
      sequences: countsOf(data),
      ...(flags.folds === undefined ? {} : { folds: flags.folds }),
      length,
      cut,
      model: String(network),
      parameters: network.layout.parameterCount,
    },
  );
}

/** Which of several trainings. */
interface Which {
  readonly number: number;
  readonly count: number;
  readonly fold: number;
  readonly entry: string;
}

function train(
  device: Device,
  { context: { flags, say, terminal }, entry: { network, facts: { length } }, data, which, keeper }: {
    readonly context: ClassifyContext;
    readonly entry: Entry;
    readonly data: LabelledData;
    readonly which?: Which;
    readonly keeper: FitKeeper<ClassifyEpoch>;
  },
): Promise<Classified> {
  const shows = terminal.interactive && !flags.json, eta = timeLeft(keeper.begun?.state?.step);
  const place = which ? `${which.entry}, fold ${which.fold + 1}: ` : "", facts = which ? placeOf(which) : {};
  return fitClassifier(device, {
    ...flags,
    network,
    data,
    length,
    rows: flags.batch,
    learningRate: flags.lr,
    keeper,
    progress: (done, most, loss) => {
      if (!shows) return;
      const { number, count } = which ?? { number: 0, count: 1 };
      const parts = [
        ...(which ? [`${number + 1} of ${count} trainings`] : []),
        `step ${done} of at most ${most}`,
        `loss ${loss.toFixed(4)}`,
        `ETA ${eta(done, (count - number) * most)}`,
      ];
      terminal.err(`\r\x1b[K${done === most ? "" : fitLine(parts, terminal)}`);
    },
    report: (epoch) => {
      if (shows) terminal.err("\r\x1b[K");
      const { training, validation, accuracy } = epoch;
      say(
        `${place}epoch ${epoch.epoch}: training ${training.toFixed(4)}, validation ${validation.toFixed(4)}, accuracy ${
          accuracy.toFixed(4)
        }`,
        { event: "epoch", ...facts, ...epoch },
      );
    },
  });
}

function placeOf({ fold, entry }: Pick<Trial, "fold" | "entry">): { readonly fold: number; readonly entry: string } {
  return { fold, entry };
}

function scoresOf({ test }: Classified, data: LabelledData, positive: number): readonly Score[] {
  return [{ name: "loss", value: test.loss, count: data.test.length }, ...classFigures(test.confusion, positive)];
}

function sayTrial({ say }: ClassifyContext, trial: Tested, folds: number): void {
  const { scores, floors, found: { best, test: { confusion } } } = trial;
  const figures = scores.map(({ name, value }) => `${name} ${value.toFixed(4)}`).join(", ");
  const place = `${trial.entry}, fold ${trial.fold + 1} of ${folds}, epoch ${best.epoch}`;
  say(`${place}: ${figures}`, { event: "test", ...placeOf(trial), best, scores, floors, confusion });
}

/** One training: its figures, and what it says of the test part. */
async function keepOne(
  { say }: ClassifyContext,
  { trial: { found, data, scores, floors }, common, out }: {
    readonly trial: Tested;
    readonly common: object;
    readonly out: string;
  },
): Promise<void> {
  const { best, test, epochs } = found;
  const results = {
    event: "test",
    ...common,
    sequences: countsOf(data),
    best,
    scores,
    floors,
    confusion: test.confusion,
  };
  await writeAtomic(`${out}/results.json`, `${JSON.stringify({ ...results, epochs }, null, 2)}\n`);
  await writeAtomic(
    `${out}/predictions.csv`,
    predictionsCsv([{ sequences: data.test, judgement: test }], data.classes),
  );
  const title = `epoch ${best.epoch} on the ${formatCount(data.test.length)} ${data.alphabet.samples} of the test part`;
  say(`\n${scoreTable(scores, floors as Floors, title)}${confusionTable(test.confusion, data.classes)}`, results);
}

/** Several: their means and spreads; predictions are of the network that was not trained on a sequence. */
async function keepSeveral(
  { say }: ClassifyContext,
  { trials, common, out, folds }: {
    readonly trials: readonly Tested[];
    readonly common: object;
    readonly out: string;
    readonly folds: number;
  },
): Promise<void> {
  const summary = summarizeTrials(trials), results = { event: "summary", ...common, folds, ...summary };
  const each = trials.map(({ found, data, scores, floors, ...place }) => ({
    ...placeOf(place),
    sequences: countsOf(data),
    best: found.best,
    scores,
    floors,
    confusion: found.test.confusion,
    epochs: found.epochs,
  }));
  await writeAtomic(`${out}/results.json`, `${JSON.stringify({ ...results, trials: each }, null, 2)}\n`);
  const predictions = trials.map(({ found, data, fold, entry }) => ({
    sequences: data.test,
    judgement: found.test,
    facts: { model: entry, fold },
  }));
  await writeAtomic(`${out}/predictions.csv`, predictionsCsv(predictions, trials[0].data.classes));
  const title = folds === 1 ? "on the test part" : `${folds} folds: mean ± standard deviation`;
  say(`\n${trialTable(summary, title)}`, results);
}

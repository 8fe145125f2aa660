/** A trained classifier as a file: what it reads and which classes it distinguishes, and its parameters. */
import {
  CheckpointError,
  ConfigError,
  decodeSafetensors,
  encodeSafetensors,
  LayerNetwork,
  Model,
  type ModelConfig,
  type NamedArrays,
  type Network,
} from "../../titans/mod.ts";
import { completeConfig } from "../../titans/models/config.ts";
import { namedParameters } from "../../titans/models/weights_file.ts";
import { type Alphabet, alphabetOf } from "../../titans/tasks/classification/alphabet.ts";
import { cnn } from "../../titans/tasks/classification/cnn.ts";
import { NUCLEOTIDE_ALPHABET } from "../../titans/tasks/dna/nucleotide_alphabet.ts";
import { CommandError } from "../errors.ts";
import { writeAtomic } from "../files.ts";
import { firstNotFinite } from "../not_finite.ts";

/** The model that is no model of `train`. */
export const CNN = "cnn";
/** The file in the folder of a run of `classify`. */
export const CLASSIFIER_FILE = "classifier.safetensors";
/** What its metadata calls the format. */
export const CLASSIFIER_FORMAT = "mneme-classifier-1";

/** What a classifier is, but for its parameters. */
export interface ClassifierFacts {
  /** The names of its classes, in the order of its outputs. */
  readonly classes: readonly string[];
  /** Of two classes, the number of the one that is looked for. */
  readonly positive: number;
  /** What samples consist of. */
  readonly alphabet: Alphabet;
  /** Tokens that it reads of a sample. */
  readonly length: number;
  /** What reads: the convolutional network, or a model of tokens. */
  readonly model: typeof CNN | ModelConfig;
}

/** A classifier that was trained. */
export interface SavedClassifier extends ClassifierFacts {
  readonly network: Network;
  readonly params: NamedArrays;
}

/** The network of a classifier, not trained. @throws {ConfigError} if there cannot be one. */
export function classifierNetwork({ classes, alphabet, length, model }: ClassifierFacts): Network {
  return model === CNN ? new LayerNetwork(CNN, cnn(length, classes.length, alphabet)) as Network : new Model(model);
}

/** Writes a classifier into a folder. */
export async function saveClassifier(
  folder: string,
  { network: { layout }, params, ...facts }: SavedClassifier,
): Promise<void> {
  const { classes, positive, alphabet: { name: alphabet }, length, model } = facts;
  const tensors = Object.fromEntries(
    layout.entries.map(({ name, parameter }) => [name, { shape: parameter.shape, data: params[name] }]),
  );
  const classifier = JSON.stringify({ classes, positive, alphabet, length, model });
  const bytes = encodeSafetensors({ tensors, metadata: { format: CLASSIFIER_FORMAT, classifier } });
  await writeAtomic(`${folder}/${CLASSIFIER_FILE}`, bytes);
}

/**
 * Reads a classifier.
 * @param path Its file, or a folder with one.
 * @returns Undefined if there is none at this place, but perhaps something else.
 * @throws {CommandError} if it is damaged.
 */
export async function loadClassifier(path: string): Promise<SavedClassifier | undefined> {
  const isFolder = (await Deno.stat(path).catch(() => undefined))?.isDirectory ?? false;
  const file = isFolder ? `${path}/${CLASSIFIER_FILE}` : path;
  const bytes = await Deno.readFile(file).catch(() => undefined);
  if (bytes === undefined) return undefined;
  try {
    const { tensors, metadata } = decodeSafetensors(bytes);
    if (metadata.format !== CLASSIFIER_FORMAT && !isFolder) return undefined;
    const facts = readFacts(metadata), network = classifierNetwork(facts);
    const params = namedParameters(tensors, network.layout, { of: "classifier" }), bad = firstNotFinite({ params });
    if (bad !== undefined) throw new CheckpointError(`Cannot use classifier: ${bad} has NaN or infinity`);
    return { ...facts, network, params };
  } catch (cause) {
    // Of a file, whoever reads checkpoints says what is wrong with it.
    if (cause instanceof CheckpointError && !isFolder && !file.endsWith(CLASSIFIER_FILE)) return undefined;
    if (!(cause instanceof CheckpointError || cause instanceof ConfigError)) throw cause;
    throw new CommandError(`${file}: ${cause.message}: restore it from a backup, or train the classifier again`, {
      cause,
    });
  }
}

/** Facts as JSON has them. */
interface StoredFacts extends Partial<Omit<ClassifierFacts, "alphabet">> {
  readonly alphabet?: unknown;
}

function readFacts({ format, classifier = "" }: Readonly<Record<string, string>>): ClassifierFacts {
  const wrong = (what: string): CheckpointError => new CheckpointError(`Cannot read classifier: ${what}`);
  if (format !== CLASSIFIER_FORMAT) {
    throw wrong(`its format is ${format === undefined ? "missing" : JSON.stringify(format)}`);
  }
  let stored: StoredFacts | null;
  try {
    stored = JSON.parse(classifier) as StoredFacts | null;
  } catch {
    throw wrong("what it says of itself is no JSON");
  }
  // Files of before there was text do not say what they read.
  const { classes, positive, length, model, alphabet: name = NUCLEOTIDE_ALPHABET.name } = stored ?? {};
  if (!Array.isArray(classes) || classes.length < 2 || !classes.every((name) => typeof name === "string")) {
    throw wrong("it names no classes");
  }
  if (!Number.isSafeInteger(length) || length! < 1) throw wrong(`its length is ${JSON.stringify(length)}`);
  if (!Number.isSafeInteger(positive) || !(positive! in classes)) {
    throw wrong(`its positive class is ${JSON.stringify(positive)}`);
  }
  const alphabet = alphabetOf(String(name)), facts = { classes, positive: positive!, alphabet, length: length! };
  if (model === CNN) return { ...facts, model };
  if (typeof model !== "object" || model === null) throw wrong("it names no model");
  const config = completeConfig(model);
  if (config.vocabulary !== alphabet.size || config.outputs !== classes.length) {
    throw wrong(
      `its model has ${config.vocabulary} tokens and ${config.outputs} outputs, it needs ${alphabet.size} and ${classes.length}`,
    );
  }
  return { ...facts, model: config };
}

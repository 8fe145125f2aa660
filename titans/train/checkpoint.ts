/**
 * Checkpoints: a safetensors file with the weights by name, what the optimizer keeps as `optimizer.SLOT.NAME` (of AdamW
 * `optimizer.first.NAME` and `optimizer.second.NAME`), of a run that streams the state of each row as `stream.NAME` (accumulate and batch are its
 * first axes; memory_file.ts names the rest), and in the metadata `format`, `config` (JSON), `step`, `seed`, `optimizer`, of a
 * run in f16 `scaling` (JSON), and whatever the caller adds.
 */
import { optionNames } from "../../core/options.ts";
import { completeConfig, differingField, type ModelConfig } from "../models/config.ts";
import { checkNames, CheckpointError, ConfigError } from "../errors.ts";
import type { AnyMixer } from "../mixers/mixer_interface.ts";
import { withMixers } from "../models/blocks.ts";
import { withPresentNames } from "../models/decode.ts";
import { Model } from "../models/model.ts";
import type { NamedArrays } from "../nn/parameters.ts";
import { decodeSafetensors, encodeSafetensors, type StoredTensor } from "../models/safetensors.ts";
import { namedParameters } from "../models/weights_file.ts";
import { checkScaling, type LossScaling } from "./precision.ts";
import type { TrainingState } from "./training.ts";

const FORMAT = "mneme-checkpoint-1";
const OPTIMIZER = "optimizer.";
const CARRIED = "stream.";
const RESERVED = ["format", "config", "step", "seed", "optimizer", "scaling"];

/** A model and the state of its training. */
export interface Checkpoint {
  /** What the model is. */
  readonly config: ModelConfig;
  /** Seed of the run: of the first parameters and of the order of the data. */
  readonly seed: number;
  /** Weights, optimizer state and step. */
  readonly state: TrainingState;
  /** Further facts about the run, as text; keys other than `format`, `config`, `step`, `seed`, `optimizer` and `scaling`. */
  readonly notes?: Readonly<Record<string, string>>;
}

/** Options of {@link decodeCheckpoint}. */
export interface DecodeOptions {
  /** Mixers of your own that the model may have; they go before built-in ones of the same name. */
  readonly mixers?: readonly AnyMixer[];
}

const DECODE_OPTIONS = optionNames<DecodeOptions>({ mixers: true });

const CHECKPOINT = optionNames<Checkpoint>({ config: true, seed: true, state: true, notes: true });

/**
 * The bytes of a checkpoint file.
 * @throws {CheckpointError} if a note has a reserved key; RangeError if the arrays are not those of the configuration.
 */
export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array<ArrayBuffer> {
  checkNames("a checkpoint", checkpoint, CHECKPOINT);
  const { config, seed, state, notes = {} } = checkpoint;
  const reserved = Object.keys(notes).find((key) => RESERVED.includes(key));
  if (reserved) throw new CheckpointError(`Cannot store a note called ${reserved}: the name is reserved`);
  const { layout } = new Model(config);
  const tensors: Record<string, StoredTensor> = {};
  const slots = Object.entries(state.optimizer.slots).map(([slot, arrays]) =>
    [`${OPTIMIZER}${slot}.`, arrays] as const
  );
  const groups: (readonly [string, NamedArrays])[] = [["", state.params], ...slots];
  for (const [prefix, arrays] of groups) {
    layout.pack(arrays); // checks names and sizes
    for (const { name, parameter } of layout.entries) {
      tensors[prefix + name] = { shape: parameter.shape, data: arrays[name] };
    }
  }
  for (const [name, tensor] of Object.entries(state.carried ?? {})) tensors[CARRIED + name] = tensor;
  return encodeSafetensors({
    tensors,
    metadata: {
      ...notes,
      format: FORMAT,
      config: JSON.stringify(config),
      step: String(state.step),
      seed: String(seed),
      optimizer: state.optimizer.name,
      ...(state.scaling ? { scaling: JSON.stringify(state.scaling) } : {}),
    },
  });
}

/**
 * Reads the bytes of a checkpoint file.
 * @param bytes Of the file.
 * @param options Which mixers there are besides the built-in ones.
 * @throws {CheckpointError} in one line if the file is damaged, no checkpoint, or its tensors are not those of its
 * configuration.
 */
export function decodeCheckpoint(bytes: Uint8Array, options: DecodeOptions = {}): Checkpoint {
  checkNames("decodeCheckpoint", options, DECODE_OPTIONS);
  const { tensors, metadata } = decodeSafetensors(bytes);
  // Files from before there was a choice are of AdamW.
  const {
    format,
    config: configText,
    step: stepText,
    seed: seedText,
    optimizer: name = "adamW",
    scaling: scalingText,
    ...notes
  } = metadata;
  if (format !== FORMAT) {
    throw new CheckpointError(
      `Cannot read checkpoint: its format is ${
        format === undefined ? "missing" : JSON.stringify(format)
      }, expected "${FORMAT}"`,
    );
  }
  const model = readModel(configText, options.mixers ?? []), { config, layout } = model;
  const step = readInteger("step", stepText), seed = readInteger("seed", seedText);
  if (step < 0) throw new CheckpointError(`Cannot read checkpoint: its step is ${step}`);
  const unread = new Set(Object.keys(tensors));
  const take = (prefix: string): NamedArrays => {
    const arrays = namedParameters(tensors, layout, { prefix, of: "checkpoint" });
    for (const name of Object.keys(arrays)) unread.delete(prefix + name);
    return arrays;
  };
  const slots = new Set([...unread].flatMap((key) => key.startsWith(OPTIMIZER) ? key.split(".")[1] : []));
  const state = {
    step,
    params: take(""),
    optimizer: { name, slots: Object.fromEntries([...slots].map((slot) => [slot, take(`${OPTIMIZER}${slot}.`)])) },
    ...(scalingText === undefined ? {} : { scaling: readScaling(scalingText) }),
  };
  // The trainer checks that these are the states of its rows, since it knows their number.
  const carried = Object.fromEntries(
    [...unread].filter((key) => key.startsWith(CARRIED)).map((key) => [key.slice(CARRIED.length), tensors[key]]),
  );
  for (const name of Object.keys(carried)) unread.delete(CARRIED + name);
  const [extra] = unread;
  if (extra !== undefined) {
    throw new CheckpointError(`Cannot read checkpoint: tensor ${extra} is not part of the model`);
  }
  const isStreamed = Object.keys(carried).length > 0;
  return { config, seed, state: isStreamed ? { ...state, carried: withPresentNames(model, carried) } : state, notes };
}

/**
 * Refuses a checkpoint of another model.
 * @throws {CheckpointError} naming the first option that differs; options that change only the cost may.
 */
export function requireSameModel(expected: ModelConfig, found: ModelConfig): void {
  const field = differingField(expected, found);
  if (field === undefined) return;
  throw new CheckpointError(
    `Cannot resume from this checkpoint: its ${field} is ${JSON.stringify(found[field])}, the model asked for has ${
      JSON.stringify(expected[field])
    }`,
  );
}

function readModel(text: string | undefined, mixers: readonly AnyMixer[]): Model {
  if (text === undefined) throw new CheckpointError("Cannot read checkpoint: it has no config");
  try {
    const stored: unknown = JSON.parse(text);
    if (typeof stored !== "object" || stored === null) throw new TypeError("not a record");
    return new Model(withMixers(completeConfig(stored), mixers));
  } catch (error) {
    const reason = error instanceof ConfigError ? error.message : "it is no configuration in JSON";
    throw new CheckpointError(`Cannot read the config of the checkpoint: ${reason}`);
  }
}

function readScaling(text: string): LossScaling {
  try {
    const { scale, steps, skipped } = JSON.parse(text) as LossScaling, scaling = { scale, steps, skipped };
    checkScaling(scaling);
    return scaling;
  } catch {
    throw new CheckpointError(`Cannot read checkpoint: its loss scaling is ${JSON.stringify(text)}`);
  }
}

function readInteger(name: string, text: string | undefined): number {
  if (text === undefined || !/^-?\d{1,15}$/.test(text)) {
    throw new CheckpointError(
      `Cannot read checkpoint: its ${name} is ${JSON.stringify(text) ?? "missing"}, expected an integer`,
    );
  }
  return Number(text);
}

/**
 * The efficiency of models: training throughput against the length of a text, with the tokens of a step held constant,
 * and the time of decoding a token against what was read before. (Titans, arXiv 2501.00663, figure 9.)
 *
 * All models have the same number of parameters. Each point is kept in a file as it is taken, so that a study that is
 * stopped goes on where it was; a point that fails says why, and the others are taken.
 */
import { UsageError } from "../../cli/errors.ts";
import type { Device, DeviceInfo } from "@mneme/titans";
import { defineConfig, MODEL_OPTIONS, type ModelConfig, type ModelKind, withParameters } from "../../titans/mod.ts";
import { loadReader, loadTrainer } from "./cases/models.ts";
import { someText } from "./cases/some_text.ts";
import { type Options, timedDevices } from "./flags.ts";
import { type Effort, inTurns } from "./measure.ts";
import { openDevice } from "./open_device.ts";
import type { PointFile } from "./point_file.ts";
import { Progress } from "./progress.ts";
import type { Timing } from "./statistics.ts";

/** What a study measures. */
export interface StudyExtents {
  /** Lengths of texts in training. */
  readonly lengths: readonly number[];
  /** Tokens of a training step, at every length; a multiple of each. */
  readonly stepTokens: number;
  /** Tokens read before those that are timed. */
  readonly contexts: readonly number[];
  /** Parameters of every model. */
  readonly parameters: number;
}

const FULL: StudyExtents = {
  lengths: [512, 2048, 8192, 32768],
  stepTokens: 32768,
  contexts: [1024, 8192, 32768],
  parameters: 200_000,
};
const QUICK: StudyExtents = { lengths: [64, 128, 256], stepTokens: 256, contexts: [32, 64], parameters: 200_000 };

/** Attention decodes from a cache that holds the context and some tokens more. */
const CACHE_SLACK = 512;

/** Where a point is. */
export interface PointKey {
  readonly device: string;
  readonly model: ModelKind;
  readonly what: "training" | "decoding";
  /** Of a text, or of what was read before. */
  readonly tokens: number;
}

/** A point that was taken, or why not. */
export type StudyPoint = PointKey & (TrainingFigures | DecodingFigures | { readonly failure: string });

/** A training step. */
export interface TrainingFigures extends Timing {
  readonly tokensPerSecond: number;
  readonly plannedBytes: number;
  /** Kernels of a step. */
  readonly kernels: number;
  /** Distinct ones. */
  readonly shaders: number;
  readonly compileMs: number;
}

/** Reading a token, its logits included. */
export interface DecodingFigures extends Timing {
  readonly stateBytes: number;
  readonly compileMs: number;
}

/** What the mode gives. */
export interface StudyReport {
  readonly extents: StudyExtents;
  readonly devices: readonly DeviceInfo[];
  readonly points: readonly StudyPoint[];
}

/** The models by name, each once: two names of the same blocks are one. */
export function studiedModels(filter = ""): ModelKind[] {
  const kinds = (Object.keys(MODEL_OPTIONS.model.choices) as ModelKind[]).filter((kind) => kind !== "attention");
  const found = kinds.filter((kind) => kind.toLowerCase().includes(filter));
  return found.length > 0 ? found : kinds;
}

/** A configuration at the size of all; loops recompute, so that every length computes alike. */
function configOf(model: ModelKind, parameters: number, maxLength: number): ModelConfig {
  return withParameters(defineConfig({ model, maxLength, checkpoint: "recompute" }), parameters);
}

/** What is measured: the study's extents where nothing else is asked for. */
function extentsOf({ quick, lengths, contexts }: Options): StudyExtents {
  const usual = quick ? QUICK : FULL, wanted = lengths ?? usual.lengths;
  const uneven = wanted.find((length) => usual.stepTokens % length !== 0);
  if (uneven !== undefined) {
    throw new UsageError(
      `--lengths cannot have ${uneven}: a training step has ${usual.stepTokens} tokens, which must be whole texts`,
    );
  }
  return { ...usual, lengths: wanted, contexts: contexts ?? usual.contexts };
}

/** Takes the points that are not in the file yet. */
export async function runStudy(
  options: Options,
  effort: Effort,
  { write, file }: { readonly write: (line: string) => void; readonly file: PointFile<StudyPoint> },
): Promise<StudyReport> {
  const extents = extentsOf(options), kinds = await timedDevices(options.devices);
  const devices: DeviceInfo[] = [], models = studiedModels(options.filter);
  const keys = kinds.flatMap((device) =>
    models.flatMap((model) => [
      ...extents.lengths.map((tokens): PointKey => ({ device, model, what: "training", tokens })),
      ...extents.contexts.map((tokens): PointKey => ({ device, model, what: "decoding", tokens })),
    ])
  );
  const missing = keys.filter((key) => !file.points.some((point) => isSamePoint(point, key)));
  if (missing.length < keys.length) {
    write(`${keys.length - missing.length} of ${keys.length} points are there already\n`);
  }
  const progress = new Progress(missing.length, write);
  for (const kind of kinds) {
    const device = await openDevice({ kind });
    devices.push(device.info);
    for (const key of missing.filter((key) => key.device === kind)) {
      progress.next(`${kind}: ${key.what}, ${key.model}, ${key.tokens} tokens`);
      file.add(await take(device, key, { extents, effort }));
    }
    device.dispose();
  }
  return { extents, devices, points: keys.map((key) => file.points.find((point) => isSamePoint(point, key))!) };
}

function isSamePoint(lhs: PointKey, rhs: PointKey): boolean {
  return lhs.device === rhs.device && lhs.model === rhs.model && lhs.what === rhs.what && lhs.tokens === rhs.tokens;
}

interface Measure {
  readonly extents: StudyExtents;
  readonly effort: Effort;
}

async function take(device: Device, key: PointKey, measure: Measure): Promise<StudyPoint> {
  try {
    return { ...key, ...await (key.what === "training" ? trainAt : decodeAt)(device, key, measure) };
  } catch (error) {
    return { ...key, failure: error instanceof Error ? error.message : String(error) };
  }
}

async function trainAt(
  device: Device,
  { model, tokens }: PointKey,
  { extents: { stepTokens, parameters }, effort }: Measure,
): Promise<TrainingFigures> {
  const shape = { batch: stepTokens / tokens, length: tokens };
  // The attention of a window reads one token more than it predicts.
  const loaded = await loadTrainer(device, configOf(model, parameters, tokens + 1), shape);
  try {
    const [timing] = await inTurns([loaded], { ...effort, leastRounds: Math.min(effort.leastRounds, 3) });
    const { totals } = await loaded.explain!(false);
    return {
      ...timing,
      tokensPerSecond: 1000 * stepTokens / timing.minMs,
      plannedBytes: loaded.plannedBytes ?? NaN,
      kernels: totals.kernels,
      shaders: loaded.shaders ?? NaN,
      compileMs: loaded.compileMs,
    };
  } finally {
    loaded.dispose();
  }
}

async function decodeAt(
  device: Device,
  { model, tokens }: PointKey,
  { extents: { parameters }, effort }: Measure,
): Promise<DecodingFigures> {
  const reader = await loadReader(device, configOf(model, parameters, tokens + CACHE_SLACK));
  try {
    await reader.decoder.read(someText(tokens));
    const most = CACHE_SLACK / (2 * (effort.rounds + 2));
    const [timing] = await inTurns([{ time: (count) => reader.time(Math.min(count, Math.floor(most))) }], {
      ...effort,
      turnMs: 0,
    });
    return { ...timing, stateBytes: reader.decoder.state.sizeBytes, compileMs: reader.compileMs };
  } finally {
    reader.dispose();
  }
}

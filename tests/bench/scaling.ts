/** What a token costs as sequences grow: training steps of several lengths, and decoding after several contexts. */
import { type Device, type DeviceInfo, requestDevice } from "@mneme/titans";
import { loadReader, loadTrainer } from "./cases/models.ts";
import { someText } from "./cases/some_text.ts";
import type { Loaded } from "./computation.ts";
import { type Options, timedDevices } from "./flags.ts";
import { type Effort, inTurns } from "./measure.ts";
import { Progress } from "./progress.ts";
import type { Timing } from "./statistics.ts";
import { type Panel, plot, type Point, powerLabel } from "./svg.ts";
import { digits, formatTable, megabytes } from "./table.ts";

const TRAINED = ["lmm", "mac"] as const;
const DECODED = ["lmm", "mac", "mag", "mal"] as const;

/**
 * Loops recompute at every length: what they would keep instead is much at the longest, and all lengths must compute
 * alike.
 */
const CHECKPOINT = "recompute";
const LENGTHS = [512, 2048, 8192, 32768], CONTEXTS = [1024, 8192, 32768];
const QUICK_LENGTHS = [64, 128, 256], QUICK_CONTEXTS = [32, 64];

/** A training step of one window. */
export interface TrainingPoint extends Timing {
  readonly model: string;
  readonly tokens: number;
  readonly msPerToken: number;
  readonly plannedBytes: number;
  readonly plannedBytesPerToken: number;
  /** What each token beyond the next shorter length adds; undefined for the shortest. */
  readonly addedBytesPerToken?: number;
  readonly shaders: number;
  readonly compileMs: number;
}

/** Reading one token more, logits included. */
export interface DecodingPoint extends Timing {
  readonly model: string;
  readonly context: number;
}

/** Time or memory per token at the longest in units of a shorter one's. */
export interface Growth {
  readonly what: string;
  readonly from: number;
  readonly to: number;
  readonly ratio: number;
}

/** What a device gives. */
export interface DeviceScaling {
  readonly device: DeviceInfo;
  readonly checkpoint: string;
  readonly training: readonly TrainingPoint[];
  readonly decoding: readonly DecodingPoint[];
  readonly growth: readonly Growth[];
}

/** What the mode gives. */
export interface ScalingReport {
  readonly devices: readonly DeviceScaling[];
  /** What stopped the run. */
  readonly failure?: string;
}

/** Times the models on the devices asked for, up to what fails. */
export async function runScaling(
  options: Options,
  effort: Effort,
  write: (line: string) => void,
): Promise<ScalingReport> {
  const kinds = await timedDevices(options.devices), devices: DeviceScaling[] = [];
  const known = DECODED.some((model) => model.includes(options.filter ?? ""));
  const used = <M extends string>(models: readonly M[]): readonly M[] =>
    models.filter((model) => !known || model.includes(options.filter ?? ""));
  const trained = used(TRAINED), decoded = used(DECODED);
  const progress = new Progress(kinds.length * (trained.length + decoded.length), write);
  for (const kind of kinds) {
    const device = await requestDevice({ kind });
    const training: TrainingPoint[] = [], decoding: DecodingPoint[] = [];
    const scaling = (): DeviceScaling => ({
      device: device.info,
      checkpoint: CHECKPOINT,
      training,
      decoding,
      growth: growthOf(training, decoding),
    });
    try {
      const lengths = options.quick ? QUICK_LENGTHS : LENGTHS, contexts = options.quick ? QUICK_CONTEXTS : CONTEXTS;
      for (const model of trained) {
        progress.next(`${kind}: training, ${model}, lengths ${lengths.map(powerLabel).join(" ")}`);
        training.push(...await trainAt(device, { model, lengths, effort }));
      }
      for (const model of decoded) {
        progress.next(`${kind}: decoding, ${model}, contexts ${contexts.map(powerLabel).join(" ")}`);
        decoding.push(...await decodeAt(device, { model, contexts, effort }));
      }
      devices.push(scaling());
    } catch (error) {
      // What was measured before is worth keeping.
      return { devices: [...devices, scaling()], failure: error instanceof Error ? error.message : String(error) };
    } finally {
      device.dispose();
    }
  }
  return { devices };
}

interface TrainingSweep {
  readonly model: (typeof TRAINED)[number];
  readonly lengths: readonly number[];
  readonly effort: Effort;
}

async function trainAt(device: Device, { model, lengths, effort }: TrainingSweep): Promise<TrainingPoint[]> {
  const loaded: Loaded[] = [];
  try {
    for (const length of lengths) {
      loaded.push(await loadTrainer(device, { model, checkpoint: CHECKPOINT }, { batch: 1, length }));
    }
    const timings = await inTurns(loaded, { ...effort, leastRounds: Math.min(effort.leastRounds, 3) });
    return loaded.map(({ plannedBytes = 0, shaders = 0, compileMs }, i) => ({
      model,
      tokens: lengths[i],
      ...timings[i],
      msPerToken: timings[i].minMs / lengths[i],
      plannedBytes,
      plannedBytesPerToken: plannedBytes / lengths[i],
      addedBytesPerToken: i > 0
        ? (plannedBytes - loaded[i - 1].plannedBytes!) / (lengths[i] - lengths[i - 1])
        : undefined,
      shaders,
      compileMs,
    }));
  } finally {
    for (const { dispose } of loaded) dispose();
  }
}

interface DecodingSweep {
  readonly model: (typeof DECODED)[number];
  readonly contexts: readonly number[];
  readonly effort: Effort;
}

async function decodeAt(device: Device, { model, contexts, effort }: DecodingSweep): Promise<DecodingPoint[]> {
  const loaded: Awaited<ReturnType<typeof loadReader>>[] = [];
  try {
    for (const context of contexts) {
      const reader = await loadReader(device, { model });
      loaded.push(reader);
      await reader.decoder.read(someText(context));
    }
    const timings = await inTurns(loaded, effort);
    return contexts.map((context, i) => ({ model, context, ...timings[i] }));
  } finally {
    for (const { dispose } of loaded) dispose();
  }
}

/** The longest against the second shortest training length, and against the shortest context. */
function growthOf(training: readonly TrainingPoint[], decoding: readonly DecodingPoint[]): Growth[] {
  return DECODED.flatMap((model) => {
    const points = training.filter((point) => point.model === model),
      contexts = decoding.filter((point) => point.model === model);
    const name = model.toUpperCase(), growth: Growth[] = [];
    if (points.length > 1) {
      const base = points[1], last = points[points.length - 1], from = base.tokens, to = last.tokens;
      growth.push(
        { what: `${name} training, time per token`, from, to, ratio: last.msPerToken / base.msPerToken },
        {
          what: `${name} training, planned memory per token`,
          from,
          to,
          ratio: last.plannedBytesPerToken / base.plannedBytesPerToken,
        },
      );
    }
    if (contexts.length > 0) {
      const first = contexts[0], longest = contexts[contexts.length - 1];
      growth.push({
        what: `${name} decoding, time per token`,
        from: first.context,
        to: longest.context,
        ratio: longest.minMs / first.minMs,
      });
    }
    return growth;
  });
}

const TRAINING_HEADER = [
  "training, 1 window",
  "us per token",
  "min ms",
  "median",
  "p90",
  "planned MB",
  "KB per token",
  "KB per token added",
  "shaders",
  "compile ms",
];
const DECODING_HEADER = ["decoding", "min ms", "median", "p90"];

/** Tables and ratios, device by device. */
export function scalingTables({ devices }: ScalingReport): string {
  return devices.map(({ device, checkpoint, training, decoding, growth }) => {
    const trained = training.map((point) => [
      `${point.model.toUpperCase()}, T = ${powerLabel(point.tokens)}`,
      ...[1e3 * point.msPerToken, point.minMs, point.medianMs, point.p90Ms].map(digits),
      megabytes(point.plannedBytes),
      digits(point.plannedBytesPerToken / 1e3),
      digits(point.addedBytesPerToken && point.addedBytesPerToken / 1e3),
      String(point.shaders),
      digits(point.compileMs),
    ]);
    const decoded = decoding.map((point) => [
      `${point.model.toUpperCase()}, context ${powerLabel(point.context)}`,
      ...[point.minMs, point.medianMs, point.p90Ms].map(digits),
    ]);
    const ratios = growth.map(({ what, from, to, ratio }) =>
      `${what}: ${powerLabel(to)} costs ${ratio.toFixed(2)} of ${powerLabel(from)}\n`
    ).join("");
    return `scaling on ${device.kind} (${device.description}), nano models, loops ${checkpoint}\n` +
      `${formatTable(TRAINING_HEADER, trained)}\n${formatTable(DECODING_HEADER, decoded)}\n${ratios}`;
  }).join("\n");
}

/** Training's and decoding's time per token, and training's memory. */
export function scalingPlot({ devices }: ScalingReport): string {
  const panel = <P extends { readonly model: string }>(
    axes: Omit<Panel, "series">,
    pointsOf: (of: DeviceScaling) => readonly P[],
    at: (point: P) => Point,
  ): Panel => ({
    ...axes,
    series: devices.flatMap((of) =>
      DECODED.map((model) => ({
        name: model.toUpperCase() + (devices.length > 1 ? ` on ${of.device.kind}` : ""),
        points: pointsOf(of).filter((point) => point.model === model).map(at),
      }))
    ).filter(({ points }) => points.length > 0),
  });
  const window = "tokens of a window";
  return plot(`Time and memory per token on ${devices.map(({ device }) => device.description).join(" and ")}`, [
    panel(
      { title: "training: microseconds per token", xLabel: window },
      ({ training }) => training,
      ({ tokens, msPerToken }) => [tokens, 1e3 * msPerToken],
    ),
    panel(
      { title: "training: planned kilobytes per token", xLabel: window },
      ({ training }) => training,
      ({ tokens, plannedBytesPerToken }) => [tokens, plannedBytesPerToken / 1e3],
    ),
    panel(
      { title: "decoding: milliseconds per token", xLabel: "tokens read before" },
      ({ decoding }) => decoding,
      ({ context, minMs }) => [context, minMs],
    ),
  ]);
}

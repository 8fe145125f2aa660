/**
 * Why a training step went wrong: the step's forward and backward pass once more, with all that passes between the
 * model's parts looked at on the host.
 *
 * It runs after a failure only, so nothing here is fast: every tensor is read as a whole. Comparisons on the host are
 * sure to find NaN, which those of GPUs need not be.
 */
import { valueAndGrad } from "../../core/grad.ts";
import type { Tensor } from "../../core/graph.ts";
import { type Spec, spec } from "../../core/trace.ts";
import { flatten, mapLeaves, type MapTree, unflatten } from "../../core/tree.ts";
import { compile } from "../../kernels/compile.ts";
import type { ArrayLeaf, Device, DeviceArray } from "../../kernels/mod.ts";
import { div, maximum } from "../../ops/mod.ts";
import type { Axis, Remedy } from "../mixers/mixer_interface.ts";
import { boundarySpecs } from "../models/decode.ts";
import type { Network } from "../models/network.ts";
import { type CarriedArrays, isDeviceArray } from "./carried.ts";
import { forwardLoss, type StepBatch } from "./gradient.ts";
import type { BatchArray, BatchArrays, Objective } from "./objective.ts";
import type { TrainingShape } from "./training.ts";
import { batchSpecs } from "./validation.ts";

/** What went through a step. */
export interface FailedStep {
  /** The parameters that gradients were taken at, f32 [P] in device memory. */
  readonly params: DeviceArray;
  /** What was learned. */
  readonly objective: Objective;
  /** Its fields, [accumulate, batch, ...]. */
  readonly data: BatchArrays;
  /** The extents of the step. */
  readonly shape: Required<TrainingShape>;
  /** The state from which the rows continue. Default: the beginning of a text. */
  readonly carried?: CarriedStep;
}

/** The states with which the rows of a step begin. */
export interface CarriedStep {
  /** Before the step, [accumulate, batch, ...]. */
  readonly arrays: CarriedArrays;
  /** Ones for rows that start afresh instead, [accumulate, batch]. */
  readonly fresh: Float32Array;
}

/** What a tensor of the step is. */
interface Label {
  readonly name: string;
  /** Its axes; none if it is not aligned with the text. */
  readonly axes: readonly Axis[];
}

interface Seen extends Label {
  readonly tensor: { readonly data: ArrayLike<number>; readonly shape: readonly number[] };
}

/**
 * The first tensor of a step that is not finite: a parameter; else, of all that the forward pass computes for the
 * earliest mini-batch, segment or window where anything is not finite (what a block takes, what its mixer
 * observes and gives, logits, losses), the first in the order of the flow; else a gradient, from the last parameter used
 * to the first.
 * @returns Its name, and of tensors along the text the place, such as
 * `blocks.1.lmm.surprise at token 37 of window 2, head 0`. If all are finite, a text that says so and names the one
 * with the greatest element.
 */
export async function firstBadTensor(device: Device, model: Network, step: FailedStep): Promise<string> {
  const { params, shape: { length } } = step;
  const flat = await params.read() as Float32Array;
  const parameters = model.layout.entries.map(({ name, offset, size }) =>
    alone(`parameter ${name}`, flat.subarray(offset, offset + size))
  );
  let largest = { name: "", magnitude: -1 };
  const together = tokensTogether(model, length);
  const first = (all: readonly Seen[]): string | undefined => {
    const looks = all.map(lookAt);
    const bad = looks.filter(({ token }) => token !== undefined).sort((a, b) =>
      Math.floor(a.token! / together) - Math.floor(b.token! / together)
    );
    for (const look of looks) if (look.magnitude > largest.magnitude) largest = look;
    return bad.length > 0 ? bad[0].name : undefined;
  };
  const bad = first(parameters);
  if (bad) return bad;
  const labels: Label[] = [];
  const { specs, batches } = await batchesOf(model, step);
  const program = await compile(device, flow(model, step.objective, labels), [spec([model.layout.size]), specs]);
  try {
    for (const batch of batches) {
      const { between, loss, gradient } = await program.run(params, batch);
      const found = first(between.map((tensor, i) => ({ ...labels[i], tensor }))) ??
        first([alone("the loss", loss.data)]) ??
        first(gradients(model, gradient.data));
      if (found) return found;
    }
  } finally {
    program.dispose();
  }
  return `none, all are finite, the greatest element is one of ${largest.name}, ${largest.magnitude.toExponential(2)}`;
}

/**
 * What may be the cause of a failure before the first update, when no learning rate can be, and what to do.
 * @param tensor As {@link firstBadTensor} names it, where it was found.
 */
export function causeBeforeUpdates(model: Network, tensor = ""): string {
  if (tensor.startsWith("parameter")) {
    return "and nothing was learned yet: look at the parameters that training began with";
  }
  if (tensor.startsWith("blocks.0.input")) {
    return "and nothing was learned yet: look at the token ids of the batch, and at the first parameters";
  }
  const ways = remediesOf(model).map((remedy) =>
    "value" in remedy
      ? `${remedy.option} ${JSON.stringify(remedy.value)}`
      : `a smaller ${remedy.option} than ${remedy.smallerThan}`
  );
  const remedy = ways.length > 0 ? `take ${ways.join(", ")}` : "look at the first parameters";
  return `and nothing was learned yet, so the learning rate is not the cause: ${remedy}, or take shorter windows`;
}

/** What the mixers of a model would change where numbers overflow before the first update, each option once. */
export function remediesOf(model: Network): readonly Remedy[] {
  const all = model.layers.flatMap(({ mixer, options }) => mixer.remedies?.(options) ?? []);
  return [...new Map(all.map((remedy) => [remedy.option, remedy])).values()];
}

/** The batches of a step on the host, one after the other, and their types. */
async function batchesOf(model: Network, { objective, data, shape, carried }: FailedStep): Promise<{
  readonly specs: MapTree<StepBatch, Tensor, Spec>;
  readonly batches: readonly MapTree<StepBatch, Tensor, ArrayLeaf>[];
}> {
  const { batch: B, length, accumulate } = shape;
  const specs = {
    data: batchSpecs(objective, length, [B]),
    ...(carried ? { carried: { state: boundarySpecs(model, B), fresh: spec([B]) } } : {}),
  };
  const states = carried && flatten(carried.arrays, isDeviceArray);
  const read = await Promise.all(states?.leaves.map((leaf) => leaf.read()) ?? []) as Float32Array[];
  const whole = {
    data,
    ...(carried ? { carried: { state: unflatten(states!.spec, read), fresh: carried.fresh } } : {}),
  };
  const isArray = (value: unknown): value is BatchArray => ArrayBuffer.isView(value);
  const batches = Array.from(
    { length: accumulate },
    (_, i) =>
      mapLeaves(
        whole,
        isArray,
        (array) => array.slice(i * array.length / accumulate, (i + 1) * array.length / accumulate),
      ),
  );
  return {
    specs: specs as MapTree<StepBatch, Tensor, Spec>,
    batches: batches as MapTree<StepBatch, Tensor, ArrayLeaf>[],
  };
}

/** Tokens that are computed together in all blocks: those of the largest group of which the others are parts, or all. */
function tokensTogether({ layers }: Network, length: number): number {
  if (layers.length === 0) return length;
  const groups = layers.map(({ layer }) => layer.together ?? length), largest = Math.max(...groups);
  return groups.every((group) => largest % group === 0) ? largest : length;
}

function alone(name: string, data: ArrayLike<number>): Seen {
  return { name, axes: [], tensor: { data, shape: [data.length] } };
}

/** What a step computes on the way. */
interface Flow {
  readonly between: readonly Tensor[];
  readonly loss: Tensor;
  readonly gradient: Tensor;
}

/** All that passes in a step, in the order of the flow; `labels` becomes what each is. */
function flow(model: Network, objective: Objective, labels: Label[]): (flat: Tensor, batch: StepBatch) => Flow {
  return (flat, batch) => {
    const loss = (params: unknown): [Tensor, Tensor[]] => {
      const between: Tensor[] = [];
      const see = (name: string, tensor: Tensor, axes: readonly Axis[]): void => {
        if (!axes.includes("time")) return;
        labels.push({ name, axes });
        between.push(tensor);
      };
      labels.length = 0;
      const { loss: { sum, weight }, result: { logits } } = forwardLoss(model, objective, params, batch, {
        observe: ({ path, tensor, axes }) => see(path, tensor, axes),
      });
      see("logits", logits, ["batch", "time", "channel"]);
      return [div(sum, maximum(weight, 1)), between];
    };
    const [[mean, between], gradient] = valueAndGrad(loss)(model.unflatten(flat));
    return { between, loss: mean, gradient: model.layout.flatten(gradient) };
  };
}

/** The gradient of each parameter, in the order in which the backward pass reaches them. */
function gradients(model: Network, data: ArrayLike<number>): Seen[] {
  const rank = (name: string): number => {
    if (name === "head") return -2;
    if (name === "norm") return -1;
    const block = /^blocks\.(\d+)\.(mlp\.|mlpNorm|mixerNorm)?/.exec(name);
    if (!block) return Infinity;
    const parts: Readonly<Record<string, number>> = { "mlp.": 0, mlpNorm: 1, mixerNorm: 3 };
    return 4 * (model.layers.length - 1 - Number(block[1])) + (parts[block[2]] ?? 2);
  };
  const ordered = [...model.layout.entries].sort((a, b) => rank(a.name) - rank(b.name));
  return ordered.map(({ name, offset, size }) =>
    alone(`the gradient of ${name}`, Array.prototype.slice.call(data, offset, offset + size))
  );
}

/** What a look at a tensor finds. */
interface Look {
  /** The tensor's name, and where its first bad element is. */
  readonly name: string;
  /**
   * The earliest token at which an element is not finite, 0 of tensors without tokens; undefined where all are finite.
   */
  readonly token?: number;
  /** The greatest magnitude of finite elements. */
  readonly magnitude: number;
}

function lookAt({ name, axes, tensor: { data, shape } }: Seen): Look {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const along = (axis: Axis, i: number): number => {
    const at = axes.indexOf(axis);
    return at < 0 ? 0 : Math.floor(i / strides[at]) % shape[at];
  };
  let magnitude = 0, token = Infinity, place = 0;
  for (let i = 0; i < data.length; i++) {
    if (Number.isFinite(data[i])) {
      magnitude = Math.max(magnitude, Math.abs(data[i]));
      continue;
    }
    const at = along("time", i);
    if (at < token) [token, place] = [at, i];
  }
  if (token === Infinity) return { name, magnitude };
  if (axes.length === 0) return { name, token, magnitude };
  const head = axes.includes("head") ? `, head ${along("head", place)}` : "";
  return { name: `${name} at token ${token} of window ${along("batch", place)}${head}`, token, magnitude };
}

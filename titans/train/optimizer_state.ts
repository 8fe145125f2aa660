/** Moves parameters and optimizer state between the host and the device. */
import { type Spec, spec } from "../../core/trace.ts";
import type { Device, DeviceArray } from "../../kernels/mod.ts";
import { ConfigError } from "../errors.ts";
import type { Network } from "../models/network.ts";
import type { Share } from "./collective.ts";
import { ITERATE, type OptimizerConfig, optimizerName, stateSlots } from "./optimizer_config.ts";
import type { StoredOptimizer, TrainingState } from "./training.ts";
import { isWhole, type OptimizerState } from "./update.ts";

/** The types of a state. @param part The elements of vectors that ranks share. Default: all. */
export function optimizerSpecs(model: Network, config: OptimizerConfig, part?: Share): OptimizerState<Spec> {
  const { size } = model.layout, type = (slot: string): Spec => spec([part && !isWhole(slot) ? part.count : size]);
  return { params: type("params"), ...Object.fromEntries(stateSlots(config).map((slot) => [slot, type(slot)])) };
}

/**
 * Puts a state on the device.
 * @param params The flat vector with which training begins or goes on.
 * @param state The optimizer's vectors; without it they begin at zero.
 * @param part The elements of vectors that ranks share. Default: all.
 * @throws {ConfigError} if the state is of another optimizer.
 */
export function uploadState(
  device: Device,
  model: Network,
  { config, params, state, part }: {
    readonly config: OptimizerConfig;
    readonly params: Float32Array;
    readonly state?: Pick<TrainingState, "optimizer">;
    readonly part?: Share;
  },
): OptimizerState<DeviceArray> {
  const { layout } = model, slots = stateSlots(config);
  if (state) requireSameOptimizer(config, state.optimizer);
  const upload = (data: Float32Array): DeviceArray => device.upload(data, { shape: [data.length], dtype: "f32" });
  const own = (slot: string, data: Float32Array): Float32Array =>
    part && !isWhole(slot) ? data.subarray(part.first, part.first + part.count) : data;
  const zeros = new Float32Array(layout.size);
  const slotArray = (slot: string): Float32Array => {
    const stored = state?.optimizer.slots[slot];
    if (stored) return layout.pack(stored);
    return slot === ITERATE ? params : zeros;
  };
  const vectors = slots.map((slot) => [slot, upload(own(slot, slotArray(slot)))]);
  return { params: upload(params), ...Object.fromEntries(vectors) };
}

/** Copies a state to the host. */
export async function downloadState(
  model: Network,
  config: OptimizerConfig,
  state: OptimizerState<DeviceArray>,
): Promise<Pick<TrainingState, "params" | "optimizer">> {
  const names = ["params", ...stateSlots(config)];
  const [params, ...slots] = (await Promise.all(names.map((name) => state[name].read()))).map((data) =>
    model.layout.unpack(data)
  );
  const bySlot = Object.fromEntries(slots.map((arrays, i) => [names[i + 1], arrays]));
  return { params, optimizer: { name: optimizerName(config), slots: bySlot } };
}

/** Refuses the state of another optimizer. @throws {ConfigError} naming both. */
export function requireSameOptimizer(config: OptimizerConfig, { name, slots }: StoredOptimizer): void {
  const expected = optimizerName(config), found = Object.keys(slots), needed = stateSlots(config);
  if (name !== expected) {
    throw new ConfigError(
      `Cannot go on with ${expected} from a state of ${name}: train with the same optimizer, or begin a new run`,
      "optimizer",
    );
  }
  const [missing] = needed.filter((slot) => !found.includes(slot)),
    [extra] = found.filter((slot) => !needed.includes(slot));
  if (missing === undefined && extra === undefined) return;
  const what = missing === undefined ? `has ${extra}, which is not used` : `has no ${missing}`;
  const isAverage = (missing ?? extra) === ITERATE;
  throw new ConfigError(
    `Cannot go on from this state of ${name}: it ${what}${
      isAverage ? " (it comes with ema)" : ""
    }; train with the same options, or begin a new run`,
    isAverage ? "ema" : "optimizer",
  );
}

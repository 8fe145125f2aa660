/**
 * The state of a training in epochs as a safetensors file: parameters by name, what the optimizer keeps as
 * `optimizer.SLOT.NAME`, the parameters of the best epoch as `best.NAME`, and in the metadata `format`, `step`,
 * `optimizer`, `epochs` (JSON) and `sum`, the losses of the epoch that is under way. Of a training that has come to its
 * end only `best.NAME` and `epochs` are kept.
 */
import {
  CheckpointError,
  decodeSafetensors,
  encodeSafetensors,
  type NamedArrays,
  type Network,
  type TrainingState,
} from "../../titans/mod.ts";
import type { StoredTensor } from "../../titans/models/safetensors.ts";
import { namedParameters } from "../../titans/models/weights_file.ts";
import { firstNotFinite } from "../not_finite.ts";
import type { EpochFacts } from "./epochs.ts";

/** What its metadata calls the format. */
export const FIT_FORMAT = "mneme-fit-1";
const OPTIMIZER = "optimizer.", BEST = "best.";

/** How far a training has come. */
export interface FitProgress<E> {
  /** The state to go on from; undefined if it has come to its end. */
  readonly state?: TrainingState;
  /** The parameters of the best epoch, once there is one. */
  readonly best?: NamedArrays;
  /** The epochs that are over. */
  readonly epochs: readonly E[];
  /** The sum of the losses in the epoch that is under way. */
  readonly sum: number;
}

/** The bytes of a file. */
export function encodeFit<E>({ layout }: Network, { state, best, epochs, sum }: FitProgress<E>): Uint8Array {
  const groups: (readonly [prefix: string, arrays: NamedArrays])[] = [
    ...(state ? [["", state.params] as const] : []),
    ...Object.entries(state?.optimizer.slots ?? {}).map(([slot, arrays]) => [`${OPTIMIZER}${slot}.`, arrays] as const),
    ...(best ? [[BEST, best] as const] : []),
  ];
  const tensors: Record<string, StoredTensor> = {};
  for (const [prefix, arrays] of groups) {
    for (const { name, parameter: { shape } } of layout.entries) tensors[prefix + name] = { shape, data: arrays[name] };
  }
  const metadata = {
    format: FIT_FORMAT,
    epochs: JSON.stringify(epochs),
    sum: String(sum),
    ...(state ? { step: String(state.step), optimizer: state.optimizer.name } : {}),
  };
  return encodeSafetensors({ tensors, metadata });
}

/** Reads the bytes of a file. @throws {CheckpointError} in one line if it is damaged, or of another network. */
export function decodeFit<E extends EpochFacts>(bytes: Uint8Array, { layout }: Network): FitProgress<E> {
  const { tensors, metadata } = decodeSafetensors(bytes), { step, optimizer, sum } = metadata;
  const wrong = (what: string): CheckpointError => new CheckpointError(`Cannot read the state: ${what}`);
  if (metadata.format !== FIT_FORMAT) throw wrong(`its format is not "${FIT_FORMAT}"`);
  const epochs = epochsIn<E>(metadata.epochs ?? ""), of = "the state";
  if (epochs === undefined) throw wrong("what it says of its epochs is no list of them");
  if (!Number.isFinite(Number(sum ?? NaN))) throw wrong(`its sum is ${JSON.stringify(sum)}`);
  const best = epochs.length === 0 ? undefined : namedParameters(tensors, layout, { prefix: BEST, of });
  const begun = { best, epochs, sum: Number(sum) };
  if (step === undefined) {
    if (best === undefined) throw wrong("it has neither a step nor a best epoch");
    return begun;
  }
  if (!/^\d{1,15}$/.test(step) || optimizer === undefined) throw wrong("its step or its optimizer is missing");
  const slots = new Set(
    Object.keys(tensors).filter((key) => key.startsWith(OPTIMIZER)).map((key) => key.split(".")[1]),
  );
  const state: TrainingState = {
    step: Number(step),
    params: namedParameters(tensors, layout, { of }),
    optimizer: {
      name: optimizer,
      slots: Object.fromEntries(
        [...slots].map((slot) => [slot, namedParameters(tensors, layout, { prefix: `${OPTIMIZER}${slot}.`, of })]),
      ),
    },
  };
  const bad = firstNotFinite(state);
  if (bad !== undefined) throw wrong(`${bad} has NaN or infinity`);
  return { ...begun, state };
}

/** The epochs that are over in the bytes of a file, whatever the network. @throws {CheckpointError} if it is damaged. */
export function readEpochs(bytes: Uint8Array): readonly EpochFacts[] {
  const epochs = epochsIn(decodeSafetensors(bytes).metadata.epochs ?? "");
  if (epochs === undefined) throw new CheckpointError("Cannot read the state: it has no list of epochs");
  return epochs;
}

function epochsIn<E extends EpochFacts>(text: string): readonly E[] | undefined {
  try {
    const found: unknown = JSON.parse(text);
    const isEpoch = (one: unknown, i: number): boolean => (one as EpochFacts | null)?.epoch === i + 1;
    return Array.isArray(found) && found.every(isEpoch) ? found as readonly E[] : undefined;
  } catch {
    return undefined;
  }
}

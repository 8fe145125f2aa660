/** The common part of the arrays of all devices. */
import { type DType, sizeOf } from "../../core/dtype.ts";
import { showAsText } from "../../core/inspect.ts";
import { type Shape, sizeOfShape } from "../../core/shape.ts";
import { type ArrayRecord, describeArray, type Device, type DeviceArray, recordOf } from "../device.ts";
import { type Gone, goneError, type HostArray } from "../host_data.ts";
import type { Schedule } from "../plan.ts";

/** An array that owns its storage until it is disposed of, or donated to a launch. */
export abstract class StoredArray<Storage> implements DeviceArray {
  #storage: Storage | undefined;
  #gone: Gone = "disposed";

  /**
   * Use `device.upload` or a program's `launch`.
   * @internal
   */
  constructor(readonly device: Device, storage: Storage, readonly shape: Shape, readonly dtype: DType) {
    this.#storage = storage;
  }

  /**
   * The storage of the elements.
   * @throws {DeviceError} if the array was disposed or donated.
   * @internal
   */
  get storage(): Storage {
    if (this.#storage === undefined) throw goneError(this, this.#gone);
    return this.#storage;
  }

  /**
   * Takes ownership of the storage of a donated array.
   * @internal
   */
  take(): Storage {
    const { storage } = this;
    this.#storage = undefined;
    this.#gone = "donated";
    return storage;
  }

  /** Bytes of the elements. */
  get sizeBytes(): number {
    return sizeOfShape(this.shape) * sizeOf(this.dtype);
  }

  /** Type and device, such as `f32[2, 3] on cpu`. */
  toString(): string {
    return describeArray(this);
  }

  /** A JSON representation, without the elements; see {@link read}. */
  toJSON(): ArrayRecord {
    return recordOf(this);
  }

  static {
    showAsText(this);
  }

  /** Copies the elements to the host. */
  abstract read(): Promise<HostArray>;

  /** Returns the storage to the device. */
  protected abstract release(storage: Storage): void;

  /** Returns the memory to the device. Disposing twice has no effect. */
  dispose(): void {
    if (this.#storage !== undefined) this.release(this.#storage);
    this.#storage = undefined;
  }
}

/** What a launch does with the memory of donated inputs. */
export interface Handover {
  /** For each output, the position of the input whose memory it takes; undefined if it has its own. */
  readonly takes: readonly (number | undefined)[];
  /** Donated inputs whose memory no output reuses. */
  readonly freed: readonly number[];
}

/** Reads the reuse of donated inputs back from a schedule returned by `takeDonated` (in_place.ts). */
export function handoverOf({ values, outputs }: Schedule, donated: readonly number[]): Handover {
  const takes = outputs.map((id) => {
    const { storage } = values[id];
    return storage.kind === "output" ? storage.takes : undefined;
  });
  return { takes, freed: donated.filter((position) => !takes.includes(position)) };
}

/** Memory of a schedule while it is being built: storages, places in them, and their numbering as values. */
import { type HostData, sizeOf, type Type } from "../../core/dtype.ts";
import { addIndex, constantIndex, type Index, linearIndex, scaleIndex } from "../../core/index_expr.ts";
import { type Shape, sizeOfShape } from "../../core/shape.ts";
import type { Value, ValueId } from "../plan.ts";

/** A piece of device memory before it has a number. */
export interface Storage {
  readonly type: Type;
  readonly kind: "input" | "output" | "constant" | "temporary";
  /** Of inputs and outputs: which one. */
  readonly position?: number;
  /** Of constants. */
  readonly data?: HostData;
  readonly label: string;
}

/** Where a tensor lives: the element offset in a storage of every multi-index. */
export interface Place {
  readonly storage: Storage;
  readonly at: (index: readonly Index[]) => Index;
}

/** The whole of a storage, row-major. */
export function wholePlace(storage: Storage, shape: Shape = storage.type.shape): Place {
  return { storage, at: (index) => linearIndex(index, shape) };
}

/** One of several equal slots of a storage: slot `number` holds `shape`. */
export function slotPlace(storage: Storage, shape: Shape, number: Index): Place {
  const offset = scaleIndex(number, sizeOfShape(shape));
  return { storage, at: (index) => addIndex(offset, linearIndex(index, shape)) };
}

/** Slots `first ..` of a storage as one tensor with a leading axis. */
export function stackedPlace(storage: Storage, slot: Shape, first: number): Place {
  const size = sizeOfShape(slot);
  return {
    storage,
    at: ([step, ...index]) =>
      addIndex(scaleIndex(addIndex(step, constantIndex(first)), size), linearIndex(index, slot)),
  };
}

/** A temporary of a type. */
export function temporary(type: Type, label: string): Storage {
  return { type: { shape: [...type.shape], dtype: type.dtype }, kind: "temporary", label };
}

/** How a device binds parts of values. */
export interface BindingLimits {
  /** Parts begin at multiples of this many bytes. Default: 256, what WebGPU asks for. */
  readonly alignmentBytes?: number;
  /** Parts are whole vectors of this many elements, so that devices may load them as such. Default: 4. */
  readonly lanes?: number;
}

/** Numbers storages, and contiguous parts of them, as values. */
export class ValueTable {
  readonly values: Value[] = [];
  readonly alignmentBytes: number;
  readonly lanes: number;
  #ids = new Map<Storage, ValueId>();
  #aliases = new Map<string, ValueId>();

  constructor({ alignmentBytes = 256, lanes = 4 }: BindingLimits = {}) {
    this.alignmentBytes = alignmentBytes;
    this.lanes = lanes;
  }

  /** The value of a storage. */
  valueOf(storage: Storage): ValueId {
    const present = this.#ids.get(storage);
    if (present !== undefined) return present;
    const { kind, position, data, type, label } = storage;
    const id = this.values.length;
    const memory: Value["storage"] = kind === "constant"
      ? { kind, data: data! }
      : kind === "temporary"
      ? { kind }
      : { kind, position: position! };
    this.values.push({ id, type, sizeBytes: bytesOf(sizeOfShape(type.shape), type), storage: memory, label });
    this.#ids.set(storage, id);
    return id;
  }

  /** The value of `count` elements from element `first` of a storage; `first` lies at a multiple of the alignment. */
  partOf(storage: Storage, first: number, count: number): ValueId {
    const of = this.valueOf(storage);
    const key = `${of},${first},${count}`;
    const present = this.#aliases.get(key);
    if (present !== undefined) return present;
    const id = this.values.length, { dtype } = storage.type;
    const byteOffset = first * sizeOf(dtype);
    this.values.push({
      id,
      type: { shape: [count], dtype },
      sizeBytes: bytesOf(count, storage.type),
      storage: { kind: "alias", of, byteOffset },
      label: storage.label,
    });
    this.#aliases.set(key, id);
    return id;
  }
}

function bytesOf(count: number, { dtype }: Type): number {
  return Math.max(4, Math.ceil(count * sizeOf(dtype) / 4) * 4);
}

/** Memory of a schedule under construction: storages, places in them, and the numbering of values. */
import { type DType, type HostData, sizeOf, type Type } from "../../core/dtype.ts";
import type { Graph } from "../../core/graph.ts";
import { addIndex, constantIndex, type Index, linearIndex, scaleIndex } from "../../core/index_expr.ts";
import { type Shape, sizeOfShape } from "../../core/shape.ts";
import type { Schedule, Value, ValueId } from "../plan.ts";

/** A piece of device memory that has no value number yet. */
export interface Storage {
  readonly type: Type;
  readonly kind: "input" | "output" | "constant" | "temporary";
  /** For inputs and outputs: the position. */
  readonly position?: number;
  /** For constants: the data. */
  readonly data?: HostData;
  readonly label: string;
}

/** Where a tensor is stored: maps each multi-index to an element offset in a storage. */
export interface Place {
  readonly storage: Storage;
  readonly at: (index: readonly Index[]) => Index;
}

/** The whole of a storage, in row-major order. */
export function wholePlace(storage: Storage, shape: Shape = storage.type.shape): Place {
  return { storage, at: (index) => linearIndex(index, shape) };
}

/** One of several slots of equal size in a storage: slot `number`, of the given shape. */
export function slotPlace(storage: Storage, shape: Shape, number: Index): Place {
  const offset = scaleIndex(number, sizeOfShape(shape));
  return { storage, at: (index) => addIndex(offset, linearIndex(index, shape)) };
}

/** The slots from `first` on as one tensor with a leading axis. */
export function stackedPlace(storage: Storage, slot: Shape, first: number): Place {
  const size = sizeOfShape(slot);
  return {
    storage,
    at: ([step, ...index]) =>
      addIndex(scaleIndex(addIndex(step, constantIndex(first)), size), linearIndex(index, slot)),
  };
}

/** A temporary of the given type. */
export function temporary(type: Type, label: string): Storage {
  return { type: { shape: [...type.shape], dtype: type.dtype }, kind: "temporary", label };
}

/** How a device binds parts of values. */
export interface BindingLimits {
  /** Alignment of parts in bytes. Default: 256, as WebGPU requires. */
  readonly alignmentBytes?: number;
  /** Parts consist of whole vectors of this many elements, so that devices can use vector loads. Default: 4. */
  readonly lanes?: number;
}

/** Assigns numbers to storages, and to contiguous parts of them, as values. */
export class ValueTable {
  readonly values: Value[] = [];
  readonly alignmentBytes: number;
  readonly lanes: number;
  #ids = new Map<Storage, ValueId>();
  /** By value, the elements of a storage that it is. */
  #parts: { readonly storage: Storage; readonly first: number }[] = [];
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
    this.#parts.push({ storage, first: 0 });
    this.#ids.set(storage, id);
    return id;
  }

  /** The storage of a value, and at which element of it the value begins. */
  partAt(value: ValueId): { readonly storage: Storage; readonly first: number } {
    return this.#parts[value];
  }

  /** Whether a part may begin at an element. */
  canBegin(first: number, dtype: DType): boolean {
    return first * sizeOf(dtype) % this.alignmentBytes === 0;
  }

  /** The value for `count` elements from element `first` of a storage; `first` must be aligned. */
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
    this.#parts.push({ storage, first });
    this.#aliases.set(key, id);
    return id;
  }
}

/** The memory of a graph's inputs and outputs. */
export interface Ends {
  readonly inputs: readonly Place[];
  readonly outputs: readonly Place[];
  readonly values: Pick<Schedule, "inputs" | "outputs">;
}

/** Gives the inputs and outputs of a graph memory of their own, and the first numbers. */
export function placeEnds({ inputs, outputs, names }: Graph, table: ValueTable): Ends {
  const placeAs = (kind: "input" | "output") => ({ shape, dtype }: Type, position: number): Place => {
    const label = (kind === "input" && names[position]) || `${kind} ${position}`;
    return wholePlace({ type: { shape: [...shape], dtype }, kind, position, label });
  };
  const ends = { inputs: inputs.map(placeAs("input")), outputs: outputs.map(placeAs("output")) };
  const number = ({ storage }: Place): ValueId => table.valueOf(storage);
  return { ...ends, values: { inputs: ends.inputs.map(number), outputs: ends.outputs.map(number) } };
}

function bytesOf(count: number, { dtype }: Type): number {
  return Math.max(4, Math.ceil(count * sizeOf(dtype) / 4) * 4);
}

/** The reference device: interprets graphs in f64 on the host. Slow, and the oracle of the others. */
import { allocating } from "../../../core/allocate.ts";
import { hostArray, type HostData, sizeOf, type Type } from "../../../core/dtype.ts";
import { DeviceError, ShapeError } from "../../../core/errors.ts";
import type { Graph } from "../../../core/graph.ts";
import { interpret } from "../../../core/interpret.ts";
import { formatType, sameShape } from "../../../core/shape.ts";
import type { DeviceArray, DeviceInfo, DeviceLimits, Executable, LoadedProgram } from "../../device.ts";
import { checkLength, type HostArray, toTruthValues } from "../../host_data.ts";
import { BaseDevice } from "../base_device.ts";
import { StoredArray } from "../stored_array.ts";

/** An array of doubles, whatever its dtype. */
export class ReferenceArray extends StoredArray<Float64Array> {
  /** The elements without rounding. @throws {DeviceError} if the array was disposed or donated. */
  get f64(): Float64Array {
    return this.storage;
  }

  /** Copies the elements to a host array of the dtype, which rounds f32. */
  read(): Promise<HostArray> {
    try {
      const data = allocating("read", [this], sizeOf(this.dtype), () => hostArray(this.dtype, this.f64.length));
      data.set(this.f64);
      return Promise.resolve(data);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Does nothing: what nobody refers to is collected. */
  protected release(): void {}
}

/**
 * Keeps arrays as doubles and interprets graphs with the references of their ops; results stay exact from launch to
 * launch.
 */
export class ReferenceDevice extends BaseDevice {
  /** What it is. */
  readonly info: DeviceInfo = { kind: "reference", description: "f64 interpreter", software: true };
  /** Graphs are interpreted as they are. */
  readonly needsPlan = false;
  /** None that counts. */
  readonly limits: DeviceLimits = {
    maxOperands: Infinity,
    maxTensorBytes: Infinity,
    maxBufferBytes: Infinity,
    alignmentBytes: 8,
    lanes: 1,
  };
  #disposed = false;

  /**
   * @throws {DeviceError} once the device was disposed.
   * @internal
   */
  check(): void {
    if (this.#disposed) throw new DeviceError("Cannot use the reference device: it was disposed", "disposed");
  }

  /** Keeps a host array as doubles. A Float64Array loses nothing. */
  upload(data: HostData, type: Type): ReferenceArray {
    this.check();
    checkLength(data, type, "upload");
    const elements = type.dtype === "bool" ? toTruthValues(data) : data;
    const doubles = allocating("upload", [type], Float64Array.BYTES_PER_ELEMENT, () => Float64Array.from(elements));
    return new ReferenceArray(this, doubles, [...type.shape], type.dtype);
  }

  /**
   * Makes a program that interprets the graph.
   * @internal
   */
  load({ graph, donated }: LoadedProgram): Promise<Executable> {
    this.check();
    return Promise.resolve(new ReferenceExecutable(this, graph, donated ?? []));
  }

  /** Does nothing: launches return when they are done. */
  synchronize(): Promise<void> {
    this.check();
    return Promise.resolve();
  }

  /** Later calls throw. */
  dispose(): void {
    this.#disposed = true;
  }
}

class ReferenceExecutable implements Executable {
  readonly sources: readonly string[] = [];
  readonly shaders: readonly number[] = [];
  #device: ReferenceDevice;
  #graph: Graph | undefined;
  #donated: readonly number[];

  constructor(device: ReferenceDevice, graph: Graph, donated: readonly number[]) {
    this.#device = device;
    this.#graph = graph;
    this.#donated = donated;
  }

  launch(inputs: readonly DeviceArray[]): ReferenceArray[] {
    this.#device.check();
    if (!this.#graph) throw new DeviceError("Cannot launch the program: it was disposed", "disposed");
    const values = inputs.map((array, i) => {
      if (!(array instanceof ReferenceArray) || array.device !== this.#device) {
        throw new DeviceError(
          `Cannot launch with ${
            formatType(array)
          }: the array belongs to another device; read it and upload it to this one`,
          "validation",
        );
      }
      const expected = this.#graph!.inputs[i];
      if (array.dtype !== expected.dtype || !sameShape(array.shape, expected.shape)) {
        throw new ShapeError(
          `Cannot launch with ${formatType(array)} as input ${i}: the program expects ${formatType(expected)}`,
          [array.shape],
        );
      }
      return { shape: array.shape, dtype: array.dtype, data: array.f64 };
    });
    const outputs = interpret(this.#graph, values).map(({ data, shape, dtype }) =>
      new ReferenceArray(this.#device, data, shape, dtype)
    );
    for (const position of this.#donated) (inputs[position] as ReferenceArray).take();
    return outputs;
  }

  profile(): Promise<readonly number[]> {
    return Promise.resolve([]);
  }

  dispose(): void {
    this.#graph = undefined;
  }
}

/** What all devices have in common. */
import type { HostData, Type } from "../../core/dtype.ts";
import { showAsText } from "../../core/inspect.ts";
import {
  describeDevice,
  type Device,
  type DeviceArray,
  type DeviceInfo,
  type DeviceLimits,
  type Executable,
  type LoadedProgram,
} from "../device.ts";

/** A device with a text representation. */
export abstract class BaseDevice implements Device {
  /** Kind and description of the device. */
  abstract readonly info: DeviceInfo;
  /** Whether programs are scheduled and planned before they are loaded. */
  abstract readonly needsPlan: boolean;
  /** Limits that programs must respect. */
  abstract readonly limits: DeviceLimits;

  /** Copies a host array to device memory. */
  abstract upload(data: HostData, type: Type): DeviceArray;
  /**
   * Loads a program.
   * @internal
   */
  abstract load(program: LoadedProgram): Promise<Executable>;
  /** Waits for all launched work. */
  abstract synchronize(): Promise<void>;
  /** Frees everything. Later calls throw. */
  abstract dispose(): void;

  /** Frees everything, at the end of the block that declared the device with `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Kind and description. */
  toString(): string {
    return describeDevice(this);
  }

  /** A JSON representation. */
  toJSON(): DeviceInfo {
    return this.info;
  }

  static {
    showAsText(this);
  }
}

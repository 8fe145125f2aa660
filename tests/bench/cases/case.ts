/** What is timed by itself, on each device. */
import type { Device } from "@mneme/titans";
import type { Loaded } from "../computation.ts";
import type { Yardstick } from "../yardsticks/yardstick.ts";

/** The tables in which cases stand. */
export type Group = "kernels" | "layers" | "training" | "decoding";

/** Something to time. */
export interface Case {
  readonly name: string;
  readonly group: Group;
  /** How far results may be from those of the reference device, relative to the largest magnitude of each. */
  readonly tolerance: number;
  /** Results to compare: a second training step shows what the first one's gradients did. */
  readonly reads: number;
  /** Operations of a run where they are the bound; kernels are counted where nothing is said. */
  readonly flops?: number;
  /** Bytes that a run must move, likewise. */
  readonly bytes?: number;
  /** Tokens that a run handles. */
  readonly tokens?: number;
  /** Puts it on a device. */
  load(device: Device): Promise<Loaded>;
  /** What it is measured by there. */
  yardsticks(device: Device): Promise<readonly Yardstick[]>;
}

/** This library among the contestants, in a process of its own like all of them. */
import type { Contestant, Processor } from "./contestant.ts";
import type { TimedDevice } from "./flags.ts";
import { openChild } from "./peers/child_process.ts";

/** The name of this library's contestants; of a device other than the first it is followed by the device's. */
export const OWN = "mneme";

/** Whether a contestant is this library, on whatever device. */
export function isOwn(library: string): boolean {
  return library === OWN || library.startsWith(`${OWN}, `);
}

/** What a device computes with. */
export function processorOf(device: TimedDevice): Processor {
  return device === "webgpu" ? "webgpu" : "cpu";
}

/**
 * Starts this library's process; only with every permission Deno lets it read its largest resident set, in /proc.
 * @throws {Error} with one line if there is no such device.
 */
export function openOwn(device: TimedDevice, library = OWN, threads?: number): Promise<Contestant> {
  const program = new URL("own_child.ts", import.meta.url).href;
  const config = decodeURIComponent(new URL("../../deno.json", import.meta.url).pathname);
  const args = ["run", "--quiet", "--no-prompt", "--no-check", "--config", config, "--allow-all", program, device];
  if (threads !== undefined) args.push(String(threads));
  return openChild({ library, device: processorOf(device), command: "deno", args });
}

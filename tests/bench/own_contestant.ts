/** This library among the contestants, in a process of its own like all of them. */
import type { Contestant } from "./contestant.ts";
import type { TimedDevice } from "./flags.ts";
import { openChild } from "./peers/child_process.ts";

/** The name of this library's contestants. */
export const OWN = "mneme";

/**
 * Starts this library's process; only with every permission Deno lets it read its largest resident set, in /proc.
 * @throws {Error} with one line if there is no such device.
 */
export function openOwn(device: TimedDevice): Promise<Contestant> {
  const program = new URL("own_child.ts", import.meta.url).href;
  const config = decodeURIComponent(new URL("../../deno.json", import.meta.url).pathname);
  const args = ["run", "--quiet", "--no-prompt", "--no-check", "--config", config, "--allow-all", program, device];
  return openChild({ library: OWN, device, command: "deno", args });
}

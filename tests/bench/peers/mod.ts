/** The libraries that this one is compared with, each in a process of its own. */
import type { Contestant } from "../contestant.ts";
import { type ChildOptions, openChild } from "./child_process.ts";

/** Which contestants to start. */
export interface PeerOptions {
  readonly devices: readonly ("cpu" | "webgpu")[];
  /** Part of the names of those wanted, such as `torch`; all unless told. */
  readonly filter?: string;
  /** Takes a line for each contestant that is left out, with the reason. Standard error unless told. */
  readonly write?: (line: string) => void;
}

/**
 * All permissions, for one reason: Deno lets a process read its own peak of memory from /proc only with them. jax-js
 * needs none at all, TensorFlow.js those to read environment and files.
 */
const DENO = ["run", "--quiet", "--no-prompt", "--no-lock", "--allow-all"];

function inDeno(library: string, device: "cpu" | "webgpu", file: string, ...args: readonly string[]): ChildOptions {
  return {
    library,
    device,
    command: "deno",
    args: [...DENO, new URL(file, import.meta.url).href, device === "cpu" ? "wasm" : device, ...args],
  };
}

function inPython(library: string): ChildOptions {
  return {
    library,
    device: "cpu",
    command: "python3",
    args: [decodeURIComponent(new URL("torch.py", import.meta.url).pathname), library],
  };
}

/** Every peer. */
function peers(): ChildOptions[] {
  return [
    inDeno("jax-js", "cpu", "jax_js.ts"),
    inDeno("jax-js", "webgpu", "jax_js.ts"),
    inDeno("tfjs", "cpu", "tfjs.ts"),
    // Its threads wait by spinning: where others use the processors too, it is faster without.
    ...(navigator.hardwareConcurrency > 1 ? [inDeno("tfjs, 1 thread", "cpu", "tfjs.ts", "1")] : []),
    inDeno("tfjs", "webgpu", "tfjs.ts"),
    inPython("torch"),
    inPython("titans-pytorch"),
  ];
}

/**
 * Starts the peers that this machine can run: jax-js and TensorFlow.js come from npm at their first start, torch and
 * titans-pytorch take part where `python3` imports them. What does not start is left out, and a line says so.
 */
export async function peerContestants(
  { devices, filter = "", write = console.error }: PeerOptions,
): Promise<Contestant[]> {
  return await startAll(
    peers().filter(({ library, device }) => devices.includes(device) && library.includes(filter)),
    write,
  );
}

/** Starts contestants; those that do not start are left out, with a line each. */
export async function startAll(
  children: readonly ChildOptions[],
  write: (line: string) => void,
): Promise<Contestant[]> {
  const contestants: Contestant[] = [];
  for (const options of children) {
    try {
      contestants.push(await openChild(options));
    } catch (error) {
      write(`left out: ${error instanceof Error ? error.message : error}`);
    }
  }
  return contestants;
}

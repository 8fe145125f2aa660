/** The libraries that this one is compared with, each in a process of its own. */
import type { Contestant, Processor } from "../contestant.ts";
import { type ChildOptions, openChild } from "./child_process.ts";
import { MAX_THREADS } from "./tfjs_threads.ts";

/** Which contestants to start. */
export interface PeerOptions {
  readonly devices: readonly Processor[];
  /** Names of libraries, such as `torch.compile`. Default: all. */
  readonly libraries?: readonly string[];
  /** Threads of each on the CPU, as far as a library lets them be chosen. Default: one per core. */
  readonly threads?: number;
  /** Takes a line for each contestant that is left out, with the reason. Default: standard error. */
  readonly write?: (line: string) => void;
}

/**
 * All permissions, for one reason: Deno lets a process read its own peak of memory from /proc only with them. jax-js
 * needs none at all, TensorFlow.js those to read environment and files.
 */
const DENO = ["run", "--quiet", "--no-prompt", "--no-lock", "--allow-all"];

function inDeno(library: string, device: Processor, file: string, ...args: readonly string[]): ChildOptions {
  return {
    library,
    device,
    command: "deno",
    args: [...DENO, new URL(file, import.meta.url).href, device === "cpu" ? "wasm" : device, ...args],
  };
}

function inPython(library: string, { threads, python }: Circumstances): ChildOptions {
  return {
    library,
    device: "cpu",
    command: python,
    args: [decodeURIComponent(new URL("torch.py", import.meta.url).pathname), library, String(threads)],
  };
}

/** What the processes of peers depend on. */
interface Circumstances {
  readonly threads: number;
  /** The Python that may have libraries. */
  readonly python: string;
}

/** Every peer. */
function peers(circumstances: Circumstances): ChildOptions[] {
  const { threads } = circumstances;
  return [
    inDeno("jax-js", "cpu", "jax_js.ts"),
    inDeno("jax-js", "webgpu", "jax_js.ts"),
    inDeno("tfjs", "cpu", "tfjs.ts", String(Math.min(threads, MAX_THREADS))),
    // Its threads wait by spinning: where others use the cores too, it is faster without.
    ...(threads > 1 ? [inDeno("tfjs, 1 thread", "cpu", "tfjs.ts", "1")] : []),
    inDeno("tfjs", "webgpu", "tfjs.ts"),
    inPython("torch", circumstances),
    inPython("torch.compile", circumstances),
    inPython("titans-pytorch", circumstances),
  ];
}

/** The names of all libraries. */
export const PEER_NAMES: readonly string[] = [
  ...new Set(peers({ threads: 1, python: "" }).map(({ library }) => library)),
];

/**
 * Starts the peers that this machine can run: jax-js and TensorFlow.js come from npm at their first start; torch, also
 * compiled, and titans-pytorch take part where Python imports them, the one named by the environment variable
 * MNEME_PYTHON if there is one. What does not start is left out, and a line says so.
 */
export async function peerContestants(
  { devices, libraries = PEER_NAMES, threads = navigator.hardwareConcurrency, write = console.error }: PeerOptions,
): Promise<Contestant[]> {
  const isWanted = (library: string): boolean => libraries.some((name) => library.split(",")[0] === name);
  const python = Deno.env.get("MNEME_PYTHON") || "python3";
  return await startAll(
    peers({ threads, python }).filter(({ library, device }) => devices.includes(device) && isWanted(library)),
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

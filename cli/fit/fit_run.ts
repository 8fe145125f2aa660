/**
 * A run of a command that trains and then writes its results, in a folder from which it can go on:
 *
 *     config.json               the command, its flags, and hashes of what it learns from; `complete` once it is, and
 *                               `figures` then, what came out on the test part
 *     checkpoint.safetensors    the state of the training, see fit_state.ts; of several trainings those that follow are
 *                               checkpoint-2.safetensors, ...; removed when the results are written
 *     run.lock                  exists while a process has the run open: see run_lock.ts
 */
import { type Device, type DeviceKind, type DeviceOptions, requestDevice } from "../../kernels/mod.ts";
import { CheckpointError, type Network } from "../../titans/mod.ts";
import { sha256Hex } from "../data/sha256.ts";
import { DivergedFit } from "../divergence.ts";
import { CommandError, UsageError, WriteError } from "../errors.ts";
import { exists, writeAtomic } from "../files.ts";
import type { Interrupt } from "../interrupt.ts";
import { asCalled, shellWord } from "../program.ts";
import type { Terminal } from "../terminal.ts";
import { CHECKPOINT_FILE, CONFIG_FILE, readConfig, RUNS, writeConfig } from "../run_folder.ts";
import { abandon, type RunKind, type RunLock, takeFreshFolder, takeNewFolder, takeRun } from "../run_lock.ts";
import { VERSION } from "../version.ts";
import { type EpochFacts, type FitKeeper, StoppedFit } from "./epochs.ts";
import {
  checkFitConfig,
  type FitConfig,
  type FitFigures,
  type FitFlags,
  type FitIdentity,
  fixedFlags,
  isFitConfig,
  mergedFlags,
} from "./fit_config.ts";
import { decodeFit, encodeFit } from "./fit_state.ts";

/** A run: first its flags, then, once these were read, its folder. */
export class FitRun<F extends FitFlags> implements Disposable {
  #lock: RunLock | undefined;

  private constructor(
    readonly command: string,
    /** Those of the run, if it goes on. */
    readonly flags: F,
    readonly stored: FitConfig | undefined,
    lock: RunLock | undefined,
  ) {
    this.#lock = lock;
  }

  /**
   * Reads what the run is: that of the flags, or with `resume` the one in a folder, which is locked.
   * @throws {UsageError} if there is none to go on with, or a flag contradicts it.
   */
  static async open<F extends FitFlags>(
    command: string,
    { values, given }: { readonly values: F; readonly given: ReadonlySet<string> },
  ): Promise<FitRun<F>> {
    if (!values.resume) return new FitRun(command, values, undefined, undefined);
    const lock = await takeRun(values.out ?? await latestStopped(command)), { path } = lock;
    try {
      const stored = checkFitConfig(await readConfig(path), command, path);
      if (stored.complete) {
        throw new UsageError(
          `the run in ${path} is complete: its results are there; omit --resume to start another one`,
        );
      }
      return new FitRun(command, mergedFlags(values, given, stored, path), stored, lock);
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  }

  /** The folder, once the run has begun. */
  get path(): string {
    return this.#lock!.path;
  }

  /**
   * Takes the folder of a new run, or checks that one that goes on learns from the same.
   * @param name Of the folder in `runs`, if none is given.
   */
  async begin(name: string, identity: FitIdentity): Promise<void> {
    const { stored, flags: { out }, command } = this;
    if (stored) {
      const other = Object.keys(identity).find((key) => identity[key] !== stored.identity[key]);
      if (other === undefined) return;
      throw new UsageError(
        `the run in ${this.path} began with other ${other} than there are now: give the same, or start a new run with another --out`,
      );
    }
    const kind: RunKind = {
      command,
      check: (config, path) => void checkFitConfig(config, command, path),
      isFree: (config) => isFitConfig(config) && config.complete === true,
    };
    this.#lock = await (out === undefined ? takeFreshFolder(RUNS, name, kind) : takeNewFolder(out, kind));
    await removeStates(this.path);
    await writeConfig(this.path, this.#config(identity));
  }

  #config(identity: FitIdentity): FitConfig {
    return { version: VERSION, command: this.command, flags: fixedFlags(this.flags), identity };
  }

  /** Keeps the state of a training. @param number Which of several, from 0. */
  async keeper<E extends EpochFacts>(
    network: Network,
    interrupt: Pick<Interrupt, "requested">,
    number = 0,
  ): Promise<FitKeeper<E>> {
    const file = `${this.path}/${stateFile(number)}`;
    return {
      every: this.flags.checkpointEvery,
      begun: await readState<E>(file, network),
      keep: (progress) => writeAtomic(file, encodeFit(network, progress)),
      stopRequested: () => interrupt.requested,
    };
  }

  /** The results are written: the folder is theirs. */
  async #complete(figures: FitFigures): Promise<void> {
    const config = await readConfig(this.path) as FitConfig;
    await writeConfig(this.path, { ...config, complete: true, figures });
    await removeStates(this.path);
  }

  /** The command with which the run goes on. */
  get resume(): string {
    return asCalled(`deno task ${this.command} --resume --out ${shellWord(this.path)}`);
  }

  /**
   * Trains on a device and writes the results, with which the run is complete.
   * @param work Does both. @returns What came out on the test part.
   * @returns The exit code; that of the interrupt where it was stopped, which is said.
   */
  async carryOut(
    options: DeviceOptions & { readonly kind: DeviceKind },
    { terminal, interrupt }: { readonly terminal: Terminal; readonly interrupt: Interrupt },
    work: (device: Device) => Promise<FitFigures>,
  ): Promise<number> {
    try {
      const device = await requestDevice(options);
      try {
        await this.#complete(await work(device));
      } finally {
        device.dispose();
      }
      return 0;
    } catch (error) {
      terminal.err(`${await this.#ended(error)}\n`);
      return interrupt.exitCode;
    }
  }

  /**
   * What a command that failed leaves: of a training that became NaN nothing, since it would do so again.
   * @returns The line to say if it was stopped. @throws The error otherwise, with how to go on.
   */
  async #ended(error: unknown): Promise<string> {
    if (error instanceof StoppedFit) return `stopped at step ${error.step}; continue with: ${this.resume}`;
    if (!this.#lock) throw error;
    if (error instanceof DivergedFit) await removeStates(this.path);
    const isKept = await exists(`${this.path}/${CHECKPOINT_FILE}`);
    if (!isKept) await abandon(this.#lock);
    if (!(error instanceof WriteError)) throw error;
    throw new CommandError(isKept ? `${error.message}; then continue with: ${this.resume}` : error.message, {
      cause: error,
    });
  }

  /** Releases the folder. */
  [Symbol.dispose](): void {
    this.#lock?.[Symbol.dispose]();
  }
}

/** The hash of the weights that a network begins with. */
export function firstWeights(network: Network, seed: number): Promise<string> {
  const { layout } = network;
  return sha256Hex(new Uint8Array(layout.pack(network.initialize(seed)).buffer));
}

/** The file of a training's state. */
export function stateFile(number: number): string {
  return number === 0 ? CHECKPOINT_FILE : CHECKPOINT_FILE.replace(".", `-${number + 1}.`);
}

async function removeStates(path: string): Promise<void> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(path)) {
    if (/^checkpoint(-\d+)?\.safetensors(\.part)?$/.test(name)) names.push(name);
  }
  // The first one last: while it is there, the folder holds a run.
  for (const name of names.sort()) await Deno.remove(`${path}/${name}`).catch(() => {});
}

async function readState<E extends EpochFacts>(file: string, network: Network) {
  if (!await exists(file)) return undefined;
  try {
    return decodeFit<E>(await Deno.readFile(file), network);
  } catch (cause) {
    if (!(cause instanceof CheckpointError)) throw cause;
    throw new CommandError(
      `${file}: ${cause.message}: restore it from a backup, or start a new run with another --out`,
      { cause },
    );
  }
}

/** The run of a command in `runs` that was stopped last. @throws {UsageError} if there is none. */
async function latestStopped(command: string): Promise<string> {
  let latest: { readonly path: string; readonly time: number } | undefined;
  const folders = await Array.fromAsync(Deno.readDir(RUNS)).catch(() => []);
  for (const { name } of folders) {
    const path = `${RUNS}/${name}`, stored = await readConfig(path).catch(() => undefined);
    if (!isFitConfig(stored) || stored.command !== command || stored.complete) continue;
    const file = await Deno.stat(`${path}/${CHECKPOINT_FILE}`).catch(() => Deno.stat(`${path}/${CONFIG_FILE}`));
    const time = file.mtime?.getTime() ?? 0;
    if (!latest || time > latest.time) latest = { path, time };
  }
  if (latest) return latest.path;
  throw new UsageError(`there is no run of ${command} in ${RUNS}/ that was stopped: omit --resume to start one`);
}

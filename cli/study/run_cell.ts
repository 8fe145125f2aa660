/** Trains and evaluates the model of a cell, going on with what an earlier process left of it. */
import type { Score } from "../../titans/mod.ts";
import { type Finished, LOST_TRIES, persistently, type RunCommand } from "../child.ts";
import { sha256Hex } from "../data/sha256.ts";
import { CommandError } from "../errors.ts";
import { exists } from "../files.ts";
import { BEST_FILE, CHECKPOINT_FILE } from "../run_folder.ts";
import { type Cell, type CellCommands, cellName } from "./cells.ts";
import type { CellResult } from "./results.ts";

/** Where and how a cell is run. */
export interface CellPlace {
  /** The folder of the study. */
  readonly folder: string;
  /** Flags of the device, for all commands. */
  readonly device: readonly string[];
  /** Runs a command. */
  readonly run: RunCommand;
  /** Ends it: the run can be continued. */
  readonly signal: AbortSignal;
}

/** Flags that keep a run short where the plan does not say otherwise. */
const QUIET: Readonly<Record<string, string>> = {
  "--eval-every": "0",
  "--sample-tokens": "0",
  "--checkpoint-every": "200",
};

// A process that outlived its study stops when it next writes, as nobody reads it.
const PATIENCE = { tries: 60, waitMs: 1000 };

/**
 * Runs a cell, once more where its process was lost: from its last checkpoint.
 * @throws the signal's reason if it was stopped.
 */
export async function runCell(cell: Cell, commands: CellCommands, place: CellPlace): Promise<CellResult> {
  const run = await runFolderOf(cell, commands, place), began = performance.now();
  const trained = await train(run, commands.train, place);
  requireEnded(cell, trained, place.signal);
  const trainSeconds = (performance.now() - began) / 1000;
  const start = trained.events.find(({ event }) => event === "start") ?? {};
  const done = trained.events.findLast(({ event }) => event === "done") ?? {};
  const facts = {
    cell,
    commands,
    device: `${start.device ?? "unknown"}: ${start.adapter ?? "unknown"}`,
    ...(typeof start.parameters === "number" ? { parameters: start.parameters } : {}),
    ...(typeof start.tokensPerStep === "number" ? { tokensPerStep: start.tokensPerStep } : {}),
  };
  const timing = typeof done.tokensPerSecond === "number" ? { tokensPerSecond: done.tokensPerSecond } : {};
  if (trained.code !== 0) {
    requirePossible(cell, "train", trained);
    return { ...facts, scores: [], error: trained.error, timing: { trainSeconds, evaluateSeconds: 0, ...timing } };
  }
  const scores: Score[] = [], evaluating = performance.now();
  let error: string | undefined;
  for (const [name, flags] of Object.entries(commands.evaluate)) {
    const args = ["evaluate", "--checkpoint", run, "--which", "last", "--json", ...place.device, ...flags];
    const finished = await persistently(place.run)(args, place.signal);
    requireEnded(cell, finished, place.signal);
    if (finished.code !== 0) {
      requirePossible(cell, "evaluate", finished);
      error ??= finished.error;
    } else scores.push(...scoresOf(finished).map((score) => named(name, score)));
  }
  const result = {
    ...facts,
    validation: validationOf(trained),
    scores,
    ...(error === undefined ? {} : { error }),
    timing: { trainSeconds, evaluateSeconds: (performance.now() - evaluating) / 1000, ...timing },
  };
  await removeRuns(cell, place);
  return result;
}

/**
 * The folder of a cell's run. Its name says what is run: what an earlier process left is gone on with if it was run with
 * the same flags on the same device, and passed over if the plan or the budget has given the cell others since.
 */
export async function runFolderOf(
  cell: Cell,
  { train }: Pick<CellCommands, "train">,
  { folder, device }: Pick<CellPlace, "folder" | "device">,
): Promise<string> {
  const asked = { train, device: device[device.indexOf("--device") + 1] };
  const hash = await sha256Hex(new TextEncoder().encode(JSON.stringify(asked)));
  return `${folder}/cells/${plainName(cell)}-${hash.slice(0, 12)}`;
}

/** Removes what there is of a cell, with whatever flags it was run. */
async function removeRuns(cell: Cell, { folder }: CellPlace): Promise<void> {
  const name = plainName(cell), names: string[] = [];
  for await (const entry of Deno.readDir(`${folder}/cells`)) {
    if (entry.name === name || entry.name.slice(0, -12) === `${name}-`) names.push(entry.name);
  }
  for (const one of names) await Deno.remove(`${folder}/cells/${one}`, { recursive: true });
}

const plainName = (cell: Cell): string => cellName(cell).replaceAll("/", "_");

/** Trains, from the checkpoint that is there if there is one. */
async function train(
  run: string,
  flags: readonly string[],
  { device, run: command, signal }: CellPlace,
): Promise<Finished> {
  const quiet = Object.entries(QUIET).filter(([flag]) => !flags.includes(flag)).flat();
  for (let tries = 1, lost = 0;; tries++) {
    const resumes = await exists(`${run}/${CHECKPOINT_FILE}`);
    // A run that was killed between the two has the best state alone, which it cannot go on from.
    if (!resumes) await Deno.remove(`${run}/${BEST_FILE}`).catch(() => {});
    const args = ["train", "--out", run, "--json", ...device, ...(resumes ? ["--resume"] : [...flags, ...quiet])];
    const finished = await command(args, signal);
    signal.throwIfAborted();
    if (finished.isLost && ++lost < LOST_TRIES) continue;
    // One that was killed after its last step has said what it came to, and nobody heard: it comes to the same again.
    if (/ is complete at step /.test(finished.error)) {
      await Deno.remove(run, { recursive: true });
      continue;
    }
    // A process that outlived its study may have begun to keep this run in the meantime.
    const isTaken = /another process|already contains a run/.test(finished.error);
    if (finished.code === 0 || !isTaken || tries === PATIENCE.tries) return finished;
    await new Promise((resolve) => setTimeout(resolve, PATIENCE.waitMs));
  }
}

/** A run that was stopped has no result: it goes on another time. */
function requireEnded(cell: Cell, { isStopped = false }: Finished, signal: AbortSignal): void {
  signal.throwIfAborted();
  if (isStopped) throw new CommandError(`${cellName(cell)} was stopped: the same command goes on`);
}

// What commands exit with where they are used as they cannot be.
const MISUSED = 2;

/** A plan with a command that cannot be is a mistake, where one that fails is a result. */
function requirePossible(cell: Cell, command: string, { code, error }: Finished): void {
  if (code === MISUSED) throw new CommandError(`cannot run ${cellName(cell)} of the plan: ${command}: ${error}`);
}

/** Figures of the last validation. */
function validationOf({ events }: Finished): Readonly<Record<string, number>> {
  const last = events.findLast(({ event }) => event === "validation") ?? {};
  return Object.fromEntries(
    Object.entries(last).filter((entry): entry is [string, number] =>
      typeof entry[1] === "number" && entry[0] !== "step"
    ),
  );
}

/** The figures of an evaluation. */
function scoresOf({ events }: Finished): readonly Score[] {
  return events.flatMap((event) => event.event === "evaluation" ? event.scores as Score[] : []);
}

function named(name: string, score: Score): Score {
  return name === "" ? score : { ...score, name: `${name}: ${score.name}` };
}

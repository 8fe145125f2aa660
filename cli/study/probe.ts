/** How fast a machine is: a few steps of each model of each experiment, before a study starts. */
import { type Cell, commandsOf } from "./cells.ts";
import { type Costs, costsOf } from "./estimate.ts";
import type { StudyPlan } from "./plan.ts";
import type { CellResult } from "./results.ts";
import { type CellPlace, runCell } from "./run_cell.ts";

/** Steps of a probe: the first is slow, as kernels compile. */
const STEPS = 12;

/** How the measuring is done. */
export interface ProbeOptions {
  /** Probes at once: as many as cells will run at once, so that they are as much in each other's way. */
  readonly jobs: number;
  /** Whether evaluations are run too, whole; without them their time is known once the first cells have ended. */
  readonly evaluates: boolean;
  /** Is called when a probe has ended. */
  readonly progress?: (done: number, total: number) => void;
}

/**
 * Measures what cells cost. A model that fails has no costs; those of the others of its experiment stand for them.
 * @throws the signal's reason if it was stopped, and what is thrown where a command of the plan cannot be.
 */
export async function probeCosts(
  plan: StudyPlan,
  place: CellPlace,
  { jobs, evaluates, progress }: ProbeOptions,
): Promise<Costs> {
  const probe = { ...place, folder: `${place.folder}/probe` }, measured: CellResult[] = [], failures: unknown[] = [];
  // What a killed study left there would be in the way.
  await removeFolder(probe.folder);
  const cells = plan.experiments.flatMap(({ name, models, steps }) =>
    Object.keys(models).map((model): Cell => ({
      experiment: name,
      model,
      rate: null,
      seed: 0,
      steps: Math.min(STEPS, steps),
    }))
  );
  const waiting = cells.values();
  let done = 0;
  const work = async (): Promise<void> => {
    for (const cell of waiting) {
      if (failures.length > 0) return;
      const commands = commandsOf(plan, cell);
      try {
        const result = await runCell(cell, evaluates ? commands : { ...commands, evaluate: {} }, probe);
        if (result.error === undefined) measured.push(result);
      } catch (error) {
        failures.push(error);
      }
      progress?.(++done, cells.length);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  await removeFolder(probe.folder);
  if (failures.length > 0) throw failures[0];
  return costsOf(measured);
}

const removeFolder = (path: string): Promise<void> => Deno.remove(path, { recursive: true }).catch(() => {});

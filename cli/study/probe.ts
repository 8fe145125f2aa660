/** How fast a machine is: a few steps of the first model of each experiment, before a study starts. */
import { commandsOf } from "./cells.ts";
import { type Costs, costsOf } from "./estimate.ts";
import type { StudyPlan } from "./plan.ts";
import type { CellResult } from "./results.ts";
import { type CellPlace, runCell } from "./run_cell.ts";

/** Steps of a probe: the first is slow, as kernels compile. */
const STEPS = 12;

/**
 * Measures what cells cost. Evaluations are not run: their time is known once the first cells have ended.
 * @throws the signal's reason if it was stopped.
 */
export async function probeCosts(plan: StudyPlan, place: CellPlace): Promise<Costs> {
  const measured: CellResult[] = [];
  for (const { name, models, steps } of plan.experiments) {
    const [model] = Object.keys(models),
      cell = { experiment: name, model, rate: null, seed: 0, steps: Math.min(STEPS, steps) };
    const probe = { ...place, folder: `${place.folder}/probe` };
    // What a killed study left there would be in the way.
    await removeFolder(probe.folder);
    const result = await runCell(cell, { ...commandsOf(plan, cell), evaluate: {} }, probe);
    if (result.error === undefined) measured.push(result);
    await removeFolder(probe.folder);
  }
  return costsOf(measured);
}

const removeFolder = (path: string): Promise<void> => Deno.remove(path, { recursive: true }).catch(() => {});

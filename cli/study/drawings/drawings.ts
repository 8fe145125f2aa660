/** The drawings of a study's page, in order. */
import type { Drawing } from "../report/page.ts";
import type { CellPlace } from "../run_cell.ts";
import { costDrawing } from "./cost.ts";
import { modelDrawings } from "./model.ts";
import { linearMemoryDrawing } from "./linear_memory.ts";
import { surpriseDrawing } from "./surprise.ts";

/** Makes them all. One trains a small model, the first time. */
export async function allDrawings(place: CellPlace): Promise<readonly Drawing[]> {
  return [
    await costDrawing(),
    await linearMemoryDrawing(),
    await surpriseDrawing(place),
    ...modelDrawings(),
  ];
}

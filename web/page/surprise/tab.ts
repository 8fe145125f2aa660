/** The surprise tab. */
import { SurpriseView } from "./view.ts";

const view = new SurpriseView();

/** Reads again, in case another model was trained meanwhile; a text may come with the address. */
export function show(parameters: URLSearchParams): void {
  view.show(parameters.get("text") ?? undefined);
}

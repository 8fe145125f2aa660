/** The recall tab. */
import { RecallView } from "./view.ts";

const view = new RecallView();

/** Takes a fact from the address, if there is one. */
export function show(parameters: URLSearchParams): void {
  view.take(parameters);
}

/** The study's drawings of models: made of the graphs that they are compiled from. */
import { diagram } from "../../../figures/diagram.ts";
import { stationsOf } from "../../../figures/stations.ts";
import type { ModelKind } from "../../../titans/mod.ts";
import type { Drawing } from "../report/page.ts";

const TEXTS: Readonly<Partial<Record<ModelKind, string>>> = {
  mac:
    "Memory as a context: what the memory holds is read for each segment, attention sees it beside the segment and the " +
    "persistent tokens, and what attention makes of them is what the memory then learns.",
  mag:
    "Memory as a gate: attention over a window and the memory read the same tokens side by side, and the product of " +
    "the two, each normalised, goes on.",
};

/** The diagram of a model, made of the graph that it is compiled from. */
export function modelDrawing(kind: "mac" | "mag"): Drawing {
  const name = kind.toUpperCase();
  return {
    number: kind === "mac" ? 4 : 5,
    title: `${name}, as it is compiled`,
    text: `${TEXTS[kind]} Made of the graph of a block: a box for each parameter, for products of data and for loops.`,
    svg: diagram(stationsOf(kind), `The parts of ${name} and how data flows between them`),
  };
}

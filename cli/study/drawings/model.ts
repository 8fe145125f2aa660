/** The study's drawings of models: made of the graphs that they are compiled from. */
import { diagram } from "../../../figures/diagram.ts";
import { stationsOf } from "../../../figures/stations.ts";
import type { ModelKind } from "../../../titans/mod.ts";
import type { Drawing } from "../report/page.ts";

/** The paper's figures of models. */
const FIGURES = {
  mac: {
    number: 4,
    text:
      "Memory as a context: what the memory holds is read for each segment, attention sees it beside the segment and " +
      "the persistent tokens, and what attention makes of them is what the memory then learns.",
  },
  mag: {
    number: 5,
    text:
      "Memory as a gate: attention over a window and the memory read the same tokens side by side, and the product of " +
      "the two, each normalised, goes on.",
  },
} as const satisfies Readonly<Partial<Record<ModelKind, { readonly number: number; readonly text: string }>>>;

/** The diagram of each model that the paper draws, made of the graph that it is compiled from. */
export function modelDrawings(): Drawing[] {
  return (Object.keys(FIGURES) as (keyof typeof FIGURES)[]).map((kind) => {
    const name = kind.toUpperCase(), { number, text } = FIGURES[kind];
    return {
      number,
      title: `${name}, as it is compiled`,
      text: `${text} Made of the graph of a block: a box for each parameter, for products of data and for loops.`,
      svg: diagram(stationsOf(kind), `The parts of ${name} and how data flows between them`),
    };
  });
}

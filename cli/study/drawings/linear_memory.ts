/** The memory of a linear Transformer, token by token: what is written, and what is kept. */
import { linearWrites, WIDTH } from "../../../figures/linear_memory.ts";
import { chart } from "../report/charts.ts";
import type { Drawing } from "../report/page.ts";

/** An entry of a matrix. */
interface Entry {
  readonly token: string;
  readonly what: string;
  readonly row: number;
  readonly column: number;
  readonly value: number;
}

/**
 * Draws what an untrained model of one head writes.
 * @param tokens What it reads.
 */
export async function linearMemoryDrawing(tokens: readonly number[] = [3, 5, 3, 1]): Promise<Drawing> {
  const entries = (await linearWrites(tokens)).flatMap(({ token, written, kept }, i) => {
    const label = `${i + 1}: token ${token}`;
    return [...entriesOf(label, "written", written), ...entriesOf(label, "kept", kept)];
  });
  return {
    number: 2,
    title: "How a linear Transformer writes",
    text:
      "Each token adds the outer product of its key and its value to a matrix, whatever is there already: the same " +
      "token writes the same again, and nothing is ever taken out. The state of an untrained model of one head, as " +
      "its decoder has it after each of four tokens.",
    svg: await matrices(entries),
  };
}

function entriesOf(token: string, what: string, values: readonly number[]): Entry[] {
  return values.map((value, at) => ({ token, what, row: Math.floor(at / WIDTH), column: at % WIDTH, value }));
}

function matrices(values: readonly Entry[]): Promise<string> {
  const largest = Math.max(...values.map(({ value }) => Math.abs(value)));
  const position = { type: "ordinal" as const, axis: null };
  return chart({
    data: { values: [...values] },
    facet: {
      row: { field: "what", type: "nominal", title: null, sort: ["written", "kept"] },
      column: { field: "token", type: "nominal", title: null },
    },
    spec: {
      width: { step: 14 },
      height: { step: 14 },
      mark: "rect",
      encoding: {
        x: { field: "column", ...position },
        y: { field: "row", ...position },
        color: {
          field: "value",
          type: "quantitative",
          legend: null,
          scale: { domain: [-largest, 0, largest], range: ["#2166ac", "#f7f7f7", "#b2182b"] },
        },
      },
    },
  }, "What four tokens write into a matrix, and the matrix after each");
}

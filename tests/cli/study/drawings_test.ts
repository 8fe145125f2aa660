/** The drawings of a study's page: what models are made of, what they cost, what a memory holds. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { costDrawing } from "../../../cli/study/drawings/cost.ts";
import { diagram } from "../../../figures/diagram.ts";
import { linearMemoryDrawing } from "../../../cli/study/drawings/linear_memory.ts";
import { type StationGraph, stationsOf } from "../../../figures/stations.ts";

/** Whether data flows from one station to another, along edges. */
function flows({ stations, edges }: StationGraph, from: string, to: string): boolean {
  const numbersOf = (name: string): number[] => stations.flatMap((station, i) => station.name === name ? [i] : []);
  const seen = new Set(numbersOf(from)), goals = numbersOf(to);
  assert(seen.size > 0 && goals.length > 0, `${from} and ${to} are stations`);
  for (let grew = true; grew;) {
    grew = false;
    for (const [a, b] of edges) if (seen.has(a) && !seen.has(b)) grew = !!seen.add(b);
  }
  return goals.some((goal) => seen.has(goal));
}

Deno.test("study drawings: in MAC attention sees what the memory holds, and the memory learns what attention makes", () => {
  const graph = stationsOf("mac"), { edges, stations } = graph;
  assert(flows(graph, "query of the memory", "memory is read") && flows(graph, "memory is read", "attention"));
  assert(flows(graph, "attention", "memory learns, chunk by chunk") && flows(graph, "persistent tokens", "attention"));
  assertEquals(stations.filter(({ kind }) => kind === "input" || kind === "output").map(({ name }) => name), [
    "tokens",
    "logits",
  ]);
  assert(edges.every(([from, to]) => from !== to));
});

Deno.test("study drawings: in MAG the window and the memory read the same side by side, and meet at the output", () => {
  const graph = stationsOf("mag"), memory = "memory learns, chunk by chunk";
  assert(flows(graph, "norm", "attention") && flows(graph, "norm", memory) && flows(graph, memory, "output"));
  assert(!flows(graph, memory, "attention") && !flows(graph, "attention", memory), "neither sees the other");
});

Deno.test("study drawings: a diagram has a box for each station and an arrow for each edge", () => {
  const graph = stationsOf("mag"), svg = diagram(graph, "MAG <x>");
  assertEquals(svg.match(/<rect /g)?.length, graph.stations.length);
  assertEquals(svg.match(/<polygon /g)?.length, graph.edges.length);
  assertMatch(svg, /aria-label="MAG &lt;x&gt;"/);
  assert(!svg.includes("NaN"));
});

Deno.test("study drawings: what attention costs grows with the text; a linear memory keeps what it writes", async () => {
  const cost = await costDrawing([64, 128]), memory = await linearMemoryDrawing([1, 1]);
  assertEquals(cost.svg.match(/<svg /g)?.length, 2);
  // Two matrices for each token, of 8 by 8 entries.
  assertEquals(memory.svg.match(/fill="rgb\(/g)?.length, 4 * 64);
});

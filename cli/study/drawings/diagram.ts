/** Diagrams of models: the stations of their graph, laid out by dagre and drawn as SVG. */
import { escapeHtml } from "../../line_plot.ts";
import type { ModelKind } from "../../../titans/mod.ts";
import type { Drawing } from "../report/page.ts";
import { type Station, type StationGraph, stationsOf } from "./stations.ts";

/** Pixels: of a letter, of a box, around all. */
const LETTER = 6.6, HEIGHT = 30, MARGIN = 12;

/** A diagram as an `svg` element. @param label What it shows, for screen readers. */
export async function diagram({ stations, edges }: StationGraph, label: string): Promise<string> {
  const { default: dagre } = await import("dagre");
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "TB", nodesep: 24, ranksep: 22, marginx: MARGIN, marginy: MARGIN });
  stations.forEach(({ name }, i) => graph.setNode(String(i), { width: name.length * LETTER + 20, height: HEIGHT }));
  edges.forEach(([from, to]) => graph.setEdge(String(from), String(to), {}));
  dagre.layout(graph);
  const { width = 0, height = 0 } = graph.graph();
  const lines = graph.edges().map((edge) => arrow(graph.edge(edge).points));
  const boxes = stations.map((station, i) => box(station, graph.node(String(i))));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${escapeHtml(label)}" width="${
      Math.ceil(width)
    }" ` +
    `height="${Math.ceil(height)}" viewBox="0 0 ${Math.ceil(width)} ${
      Math.ceil(height)
    }" font-family="system-ui, sans-serif" font-size="12">`,
    ...lines,
    ...boxes,
    "</svg>",
  ].join("\n");
}

/** A place in the drawing. */
interface Point {
  readonly x: number;
  readonly y: number;
}

const FILLS: Readonly<Record<Station["kind"], string>> = {
  input: "none",
  output: "none",
  parameter: "#8888881a",
  product: "#0072b244",
  loop: "#d55e0055",
};

function box(
  { name, kind }: Station,
  { x, y, width, height }: Point & { readonly width: number; readonly height: number },
): string {
  const left = (x - width / 2).toFixed(1), top = (y - height / 2).toFixed(1);
  const fill = /^memory/.test(name) ? FILLS.loop : FILLS[kind];
  return `<rect x="${left}" y="${top}" width="${
    width.toFixed(1)
  }" height="${height}" rx="6" fill="${fill}" stroke="currentColor"/>` +
    `<text x="${x.toFixed(1)}" y="${(y + 4).toFixed(1)}" text-anchor="middle" fill="currentColor">${
      escapeHtml(name)
    }</text>`;
}

/** A line through points that ends in a head. */
function arrow(points: readonly Point[]): string {
  const to = points.at(-1)!, from = points.at(-2)!, angle = Math.atan2(to.y - from.y, to.x - from.x);
  const corner = (turn: number): string =>
    `${(to.x - 8 * Math.cos(angle + turn)).toFixed(1)},${(to.y - 8 * Math.sin(angle + turn)).toFixed(1)}`;
  const path = points.map(({ x, y }, i) => `${i === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  return `<path d="${path}" fill="none" stroke="currentColor" opacity="0.7"/>` +
    `<polygon points="${to.x.toFixed(1)},${to.y.toFixed(1)} ${corner(0.4)} ${corner(-0.4)}" fill="currentColor"/>`;
}

const TEXTS: Readonly<Partial<Record<ModelKind, string>>> = {
  mac:
    "Memory as a context: what the memory holds is read for each segment, attention sees it beside the segment and the " +
    "persistent tokens, and what attention makes of them is what the memory then learns.",
  mag:
    "Memory as a gate: attention over a window and the memory read the same tokens side by side, and the product of " +
    "the two, each normalised, goes on.",
};

/** The diagram of a model, made of the graph that it is compiled from. */
export async function modelDrawing(kind: "mac" | "mag"): Promise<Drawing> {
  const name = kind.toUpperCase();
  return {
    number: kind === "mac" ? 4 : 5,
    title: `${name}, as it is compiled`,
    text: `${TEXTS[kind]} Made of the graph of a block: a box for each parameter, for products of data and for loops.`,
    svg: await diagram(stationsOf(kind), `The parts of ${name} and how data flows between them`),
  };
}

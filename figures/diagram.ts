/** Diagrams of models: the stations of their graph as boxes with arrows, in SVG. */
import { escapeHtml } from "./escape_html.ts";
import { layOut, type Point } from "./layout.ts";
import type { Station, StationGraph } from "./stations.ts";

/** Points: of a letter, of a line of letters, around those of a box. */
const LETTER = 6.6, LINE = 15, PADDING = 8;
/** Longer names are broken in two lines. */
const LONGEST_LINE = 15;

const FILLS: Readonly<Record<Station["kind"], string>> = {
  input: "none",
  output: "none",
  parameter: "#8888881a",
  product: "#0072b244",
  loop: "#d55e0055",
};

/**
 * A diagram as an `svg` element. Boxes are groups with the name of their station in `data-station`.
 * @param label What it shows, for screen readers.
 */
export function diagram({ stations, edges }: StationGraph, label: string): string {
  const lines = stations.map(({ name }) => linesOf(name));
  const boxes = lines.map((each) => ({
    width: Math.max(...each.map(({ length }) => length)) * LETTER + 2 * PADDING,
    height: each.length * LINE + PADDING,
  }));
  const { width, height, centres, ways } = layOut(boxes, edges);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${escapeHtml(label)}" width="${
      Math.ceil(width)
    }" ` +
    `height="${Math.ceil(height)}" viewBox="0 0 ${Math.ceil(width)} ${Math.ceil(height)}" ` +
    `font-family="system-ui, sans-serif" font-size="12">`,
    ...ways.map(arrow),
    ...stations.map((station, i) => box(station, lines[i], { ...centres[i], ...boxes[i] })),
    "</svg>",
  ].join("\n");
}

/** A name in one line, or in two that are about as long. */
function linesOf(name: string): string[] {
  const words = name.split(" ");
  if (name.length <= LONGEST_LINE || words.length === 1) return [name];
  const breaks = words.slice(1).map((_, i) => [words.slice(0, i + 1).join(" "), words.slice(i + 1).join(" ")]);
  const longest = (lines: readonly string[]): number => Math.max(...lines.map(({ length }) => length));
  return breaks.reduce((best, lines) => longest(lines) < longest(best) ? lines : best);
}

function box(
  { name, kind }: Station,
  lines: readonly string[],
  { x, y, width, height }: Point & { readonly width: number; readonly height: number },
): string {
  const fill = /^memory/.test(name) ? FILLS.loop : FILLS[kind];
  const rows = lines.map((line, i) =>
    `<text x="${x.toFixed(1)}" y="${(y + 4 + (i - (lines.length - 1) / 2) * LINE).toFixed(1)}" text-anchor="middle" ` +
    `fill="currentColor">${escapeHtml(line)}</text>`
  );
  return `<g data-station="${escapeHtml(name)}"><rect x="${(x - width / 2).toFixed(1)}" y="${
    (y - height / 2).toFixed(1)
  }" width="${width.toFixed(1)}" height="${height}" rx="6" fill="${fill}" stroke="currentColor"/>${rows.join("")}</g>`;
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

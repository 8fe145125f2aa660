/** Line plots as self-contained SVG. */

/** A place in a panel. */
export type Point = readonly [x: number, y: number];

/** A line. */
export interface Series {
  readonly name: string;
  /** In ascending order of x. */
  readonly points: readonly Point[];
}

/** Axes with lines in them: x in powers of two, y from 0. */
export interface Panel {
  readonly title: string;
  readonly xLabel: string;
  readonly series: readonly Series[];
}

const WIDTH = 420, HEIGHT = 300, LEFT = 56, TOP = 40, BOTTOM = 44, RIGHT = 16, LEGEND = 20;
/** Colours that differ for the colour-blind too (Okabe and Ito). */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];
/** Dashes of the lines that come after one of each colour. */
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];

/** Panels side by side. The same name has the same colour and dashes in all. */
export function plot(title: string, panels: readonly Panel[]): string {
  const names = [...new Set(panels.flatMap(({ series }) => series.map(({ name }) => name)))];
  const legend = Math.max(...panels.map(({ series }) => series.length)) * LEGEND;
  const width = WIDTH * panels.length, height = HEIGHT + legend;
  const body = panels.map((panel, i) => `<g transform="translate(${i * WIDTH} 0)">\n${drawPanel(panel, names)}\n</g>`)
    .join("\n");
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" font-family="sans-serif" font-size="12">`,
    `<title>${escape(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    body,
    "</svg>\n",
  ].join("\n");
}

function drawPanel({ title, xLabel, series }: Panel, names: readonly string[]): string {
  const points = series.flatMap(({ points }) => points);
  if (points.length === 0) return "";
  const xs = [...new Set(points.map(([x]) => x))].sort((a, b) => a - b),
    step = niceStep(Math.max(...points.map(([, y]) => y)) / 4);
  const top = step * Math.max(1, Math.ceil(Math.max(...points.map(([, y]) => y)) / step));
  const span = Math.log2(xs[xs.length - 1] / xs[0]) || 1;
  const right = WIDTH - RIGHT, bottom = HEIGHT - BOTTOM;
  const atX = (x: number): string => (LEFT + (right - LEFT) * Math.log2(x / xs[0]) / span).toFixed(1);
  const atY = (y: number): string => (bottom - (bottom - TOP) * y / top).toFixed(1);
  const yTicks = Array.from({ length: Math.round(top / step) + 1 }, (_, i) => i * step);
  return [
    `<text x="${LEFT}" y="22" font-size="14" font-weight="bold">${escape(title)}</text>`,
    ...yTicks.map((y) =>
      `<path d="M${LEFT} ${atY(y)}H${right}" stroke="#ddd"/><text x="${LEFT - 6}" y="${
        atY(y)
      }" dy="4" text-anchor="end">${Number(y.toPrecision(6))}</text>`
    ),
    ...xs.map((x) =>
      `<path d="M${atX(x)} ${bottom}v4" stroke="#888"/><text x="${atX(x)}" y="${bottom + 18}" text-anchor="middle">${
        powerLabel(x)
      }</text>`
    ),
    `<path d="M${LEFT} ${bottom}H${right}" stroke="#888"/>`,
    `<text x="${(LEFT + right) / 2}" y="${bottom + 36}" text-anchor="middle">${escape(xLabel)}</text>`,
    ...series.map(({ name, points }, i) => {
      const number = names.indexOf(name), colour = COLOURS[number % COLOURS.length];
      const dashes = DASHES[Math.floor(number / COLOURS.length) % DASHES.length];
      const stroke = `stroke="${colour}" stroke-width="2"${dashes && ` stroke-dasharray="${dashes}"`}`;
      const line = points.map(([x, y], at) => `${at === 0 ? "M" : "L"}${atX(x)} ${atY(y)}`).join("");
      const marks = points.map(([x, y]) => `<circle cx="${atX(x)}" cy="${atY(y)}" r="3" fill="${colour}"/>`).join("");
      const y = HEIGHT + i * LEGEND + 8;
      const key = `<path d="M${LEFT} ${y}h24" ${stroke}/><text x="${LEFT + 32}" y="${y + 4}">${escape(name)}</text>`;
      return `<path d="${line}" fill="none" ${stroke}/>${marks}${key}`;
    }),
  ].join("\n");
}

/** The smallest of 1, 2, 2.5, 5 times a power of ten that is at least so large. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least || 1));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= least)!;
}

/** `512`, `2K`, `32K`. */
export function powerLabel(x: number): string {
  return x >= 1024 && x % 1024 === 0 ? `${x / 1024}K` : String(x);
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

/** Line plots as self-contained SVG. */

/** A place in a panel. */
export type Point = readonly [x: number, y: number];

/** A line. */
export interface Series {
  readonly name: string;
  /** In ascending order of x. */
  readonly points: readonly Point[];
}

/** Axes with lines in them: x in powers of two. */
export interface Panel {
  readonly title: string;
  readonly xLabel: string;
  /** Whether equal distances of y are equal ratios, for values far apart. Default: y from 0. */
  readonly logarithmic?: boolean;
  readonly series: readonly Series[];
}

const WIDTH = 420, LEFT = 56, TOP = 40, BOTTOM = 44, RIGHT = 16, PLOT = 216;
/** Above the panels, for the title of all. */
const HEADING = 28;
/** Beside a panel, for the names of its lines: from where a line ends to its name, and the names. */
const LEADER = 14, NAMES = 110;
/** Between names, at least. */
const NAME_HEIGHT = 13;
/** Colours that differ for the colour-blind too (Okabe and Ito). */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];
/** Dashes of the lines that come after one of each colour. */
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];

/** Panels side by side. The same name has the same colour and dashes in all, and stands where its line ends. */
export function plot(title: string, panels: readonly Panel[]): string {
  const names = [...new Set(panels.flatMap(({ series }) => series.map(({ name }) => name)))];
  const tall = Math.max(PLOT, NAME_HEIGHT * Math.max(0, ...panels.map(({ series }) => series.length - 1)));
  const each = WIDTH + LEADER + NAMES, width = each * panels.length, height = HEADING + TOP + tall + BOTTOM;
  const body = panels.map((panel, i) =>
    `<g transform="translate(${i * each} ${HEADING})">\n${drawPanel(panel, names, tall)}\n</g>`
  ).join("\n");
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" font-family="sans-serif" font-size="12">`,
    `<title>${escape(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${LEFT}" y="22" font-size="16">${escape(title)}</text>`,
    body,
    "</svg>\n",
  ].join("\n");
}

function drawPanel(
  { title, xLabel, series, logarithmic = false }: Panel,
  names: readonly string[],
  tall: number,
): string {
  const points = series.flatMap(({ points }) => points);
  if (points.length === 0) return "";
  const xs = [...new Set(points.map(([x]) => x))].sort((a, b) => a - b);
  const yTicks = (logarithmic ? ratioTicks : evenTicks)(points.map(([, y]) => y));
  const span = Math.log2(xs[xs.length - 1] / xs[0]) || 1;
  const right = WIDTH - RIGHT, bottom = TOP + tall;
  const atX = (x: number): string => (LEFT + (right - LEFT) * Math.log2(x / xs[0]) / span).toFixed(1);
  const heightOf = logarithmic ? Math.log : (y: number): number => y;
  const [lowest, highest] = [yTicks[0], yTicks.at(-1)!].map(heightOf);
  const placeOf = (y: number): number => bottom - tall * (heightOf(y) - lowest) / (highest - lowest);
  const atY = (y: number): string => placeOf(y).toFixed(1);
  const nameAt = spread(series.map(({ points }) => placeOf(points[points.length - 1][1])), TOP, bottom);
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
      const [endX, endY] = points[points.length - 1], nameX = right + LEADER, nameY = nameAt[i].toFixed(1);
      const leader = `<path d="M${atX(endX)} ${atY(endY)}L${nameX} ${nameY}h8" fill="none" stroke="${colour}"/>`;
      const key = `<text x="${nameX + 11}" y="${nameY}" dy="4" fill="${colour}">${escape(name)}</text>`;
      return `<path d="${line}" fill="none" ${stroke}/>${marks}${leader}${key}`;
    }),
  ].join("\n");
}

/** Places from `top` to `bottom`, each near the one that is wanted, so far apart that names do not touch. */
export function spread(wanted: readonly number[], top: number, bottom: number): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b]);
  // Names that would touch form a block, whose middle is where the middle of what they want is.
  const blocks: { sum: number; count: number }[] = [];
  const firstOf = ({ sum, count }: { sum: number; count: number }): number => {
    const first = sum / count - NAME_HEIGHT * (count - 1) / 2;
    return Math.max(top, Math.min(bottom - NAME_HEIGHT * (count - 1), first));
  };
  for (const i of order) {
    let block = { sum: wanted[i], count: 1 };
    for (let last = blocks.at(-1); last; last = blocks.at(-1)) {
      if (firstOf(last) + NAME_HEIGHT * last.count <= firstOf(block)) break;
      block = { sum: last.sum + block.sum, count: last.count + block.count };
      blocks.pop();
    }
    blocks.push(block);
  }
  const places = blocks.flatMap((block) =>
    Array.from({ length: block.count }, (_, at) => firstOf(block) + NAME_HEIGHT * at)
  );
  const result = new Array<number>(wanted.length);
  order.forEach((i, at) => result[i] = places[at]);
  return result;
}

/** From 0 to the largest value or beyond, some four of them. */
function evenTicks(values: readonly number[]): number[] {
  const largest = Math.max(...values), step = niceStep(largest / 4);
  return Array.from({ length: Math.max(1, Math.ceil(largest / step)) + 1 }, (_, i) => i * step);
}

/** 1, 2 and 5 times powers of ten, from the smallest value or below it to the largest or beyond. */
function ratioTicks(values: readonly number[]): number[] {
  const smallest = Math.min(...values), largest = Math.max(...values), ticks: number[] = [];
  for (let power = Math.floor(Math.log10(smallest)); ticks.length < 2 || ticks.at(-1)! < largest; power++) {
    ticks.push(...[1, 2, 5].map((factor) => Number(`${factor}e${power}`)));
  }
  const first = ticks.findLastIndex((tick) => tick <= smallest), last = ticks.findIndex((tick) => tick >= largest);
  return ticks.slice(first, Math.max(last, first + 1) + 1);
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

/** Line plots as SVG, for people and for screen readers; colours come from the page's style sheet. */
import { escapeHtml } from "../figures/escape_html.ts";
import type { Point } from "./curve.ts";

/** A line of a plot. Lines differ in colour and dashes: `.line0` ... of the style sheet. */
export interface PlotLine {
  readonly label: string;
  readonly points: readonly Point[];
}

/** What a plot shows. */
export interface PlotOptions {
  /** Unique in its page. */
  readonly id: string;
  readonly title: string;
  /** Text alternative for screen readers. */
  readonly description: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly lines: readonly PlotLine[];
}

const WIDTH = 720, HEIGHT = 320;
const LEFT = 64, RIGHT = 16, TOP = 16, BOTTOM = 48;

/** A plot as an `svg` element, with its legend. */
export function linePlot({ id, title, description, xLabel, yLabel, lines }: PlotOptions): string {
  const drawn = lines.filter(({ points }) => points.length > 0);
  const x = scale(drawn.flatMap(({ points }) => points.map(({ step }) => step)), [LEFT, WIDTH - RIGHT]);
  const y = scale(drawn.flatMap(({ points }) => points.map(({ value }) => value)), [HEIGHT - BOTTOM, TOP], 0.05);
  const grid = [
    ...y.ticks.map((tick) =>
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y.at(tick)}" y2="${y.at(tick)}"/>` +
      `<text class="tick" x="${LEFT - 8}" y="${y.at(tick)}" dy="0.32em" text-anchor="end">${label(tick)}</text>`
    ),
    ...x.ticks.map((tick) =>
      `<text class="tick" x="${x.at(tick)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${label(tick)}</text>`
    ),
  ];
  const paths = drawn.map(({ points }, i) => {
    const path = points.map(({ step, value }) => `${x.at(step)},${y.at(value)}`).join(" ");
    // A single point is drawn as a dot.
    return points.length === 1
      ? `<circle class="dot line${i}" cx="${x.at(points[0].step)}" cy="${y.at(points[0].value)}" r="3"/>`
      : `<polyline class="line line${i}" points="${path}"/>`;
  });
  const legend = drawn.map(({ label }, i) =>
    `<li><svg width="32" height="10" aria-hidden="true"><line class="line line${i}" x1="0" x2="32" y1="5" y2="5"/></svg> ${
      escapeHtml(label)
    }</li>`
  );
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="${id}-title ${id}-text">`,
    `<title id="${id}-title">${escapeHtml(title)}</title><desc id="${id}-text">${escapeHtml(description)}</desc>`,
    ...grid,
    `<line class="axis" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${HEIGHT - BOTTOM}" y2="${HEIGHT - BOTTOM}"/>`,
    `<text class="label" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${
      escapeHtml(xLabel)
    }</text>`,
    `<text class="label" transform="translate(14 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${
      escapeHtml(yLabel)
    }</text>`,
    ...paths,
    "</svg>",
    `<ul class="legend">${legend.join("")}</ul>`,
  ].join("\n");
}

/** Maps values to positions between two ends, with ticks at round values. */
interface Scale {
  readonly ticks: readonly number[];
  at(value: number): number;
}

/** @param margin Share of the range that is left free at both ends, so that no line coincides with the axis. */
function scale(values: readonly number[], [from, to]: readonly [number, number], margin = 0): Scale {
  const finite = values.length > 0 ? values : [0];
  let low = finite.reduce((a, b) => Math.min(a, b)), high = finite.reduce((a, b) => Math.max(a, b));
  if (low === high) [low, high] = low === 0 ? [0, 1] : [low - Math.abs(low) / 2, high + Math.abs(high) / 2];
  [low, high] = [low - margin * (high - low), high + margin * (high - low)];
  const step = roundStep((high - low) / 5);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    ticks.push(Number((i * step).toPrecision(12)));
  }
  return { ticks, at: (value) => Number((from + (value - low) / (high - low) * (to - from)).toFixed(1)) };
}

/** The nearest of 1, 2, 5, 10, 20 ... that is not smaller. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 5, 10].find((factor) => factor * power >= least * (1 - 1e-9)) ?? 10);
}

function label(value: number): string {
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e6)
    ? value.toExponential(0).replace("e+", "e")
    : value.toLocaleString("en-US", { maximumSignificantDigits: 4 });
}

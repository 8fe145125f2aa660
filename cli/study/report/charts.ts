/** Charts as SVG without scripts, drawn by Vega-Lite ahead of time. Text has the colour of the page. */
import type { TopLevelSpec } from "vega-lite";

/** Colours that can be distinguished on a light and on a dark page, also without seeing red and green (Okabe and Ito). */
export const COLORS: readonly string[] = [
  "#0072b2",
  "#d55e00",
  "#009e73",
  "#cc79a7",
  "#e69f00",
  "#56b4e9",
  "#8b6f47",
  "#7f7f7f",
  "#6a3d9a",
  "#b15928",
];

/** Shapes, so that nothing depends on colour alone. */
const SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"];

/** The text of a page. */
const INK = "currentColor";

const CONFIG: TopLevelSpec["config"] = {
  background: "transparent",
  font: "system-ui, sans-serif",
  view: { stroke: null },
  axis: {
    labelColor: INK,
    titleColor: INK,
    domainColor: INK,
    tickColor: INK,
    gridColor: "#88888844",
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: "normal",
  },
  legend: { labelColor: INK, titleColor: INK, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" },
  title: { color: INK },
  header: { labelColor: INK, titleColor: INK, labelFontSize: 12 },
  text: { color: INK, font: "system-ui, sans-serif" },
  range: { category: [...COLORS], symbol: SHAPES },
};

/** A chart as an `svg` element. @param label What it shows, for screen readers. */
export async function chart(spec: TopLevelSpec, label: string): Promise<string> {
  const [vega, lite] = await Promise.all([import("vega"), import("vega-lite")]);
  const compiled = lite.compile({ ...spec, config: CONFIG }, { logger: vega.logger(vega.Error) }).spec;
  const view = new vega.View(vega.parse(compiled), { renderer: "none" });
  const svg = await view.toSVG();
  view.finalize();
  return svg.replace(/^<svg /, `<svg role="img" aria-label="${escapeAttribute(label)}" `);
}

/** Lengths in thousands of 1,024, as they are called: `4K`. */
const IN_WORDS = "datum.value >= 1024 && datum.value % 1024 == 0 ? datum.value / 1024 + 'K' : datum.value";

function escapeAttribute(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}

/** A value of a model, with its range over seeds. */
export interface ModelValue {
  readonly model: string;
  readonly mean: number;
  readonly min: number;
  readonly max: number;
}

/** Models under each other, with a dot at the mean and a line over the range. */
export function dotPlot(title: string, values: readonly ModelValue[], chance?: number): Promise<string> {
  const y = { field: "model", type: "nominal" as const, sort: values.map(({ model }) => model), title: null };
  const x = { type: "quantitative" as const, title, scale: { zero: false } };
  return chart({
    width: 460,
    height: { step: 22 },
    data: { values: [...values] },
    layer: [
      ...(chance === undefined ? [] : [{
        mark: { type: "rule" as const, strokeDash: [4, 3], color: INK, opacity: 0.6 },
        encoding: { x: { datum: chance } },
      }]),
      {
        mark: { type: "rule", strokeWidth: 2, color: COLORS[0] },
        encoding: { y, x: { ...x, field: "min" }, x2: { field: "max" } },
      },
      {
        mark: { type: "point", filled: true, size: 70, color: COLORS[0], opacity: 1 },
        encoding: { y, x: { ...x, field: "mean" } },
      },
    ],
  }, `${title} by model: ${values.map(({ model, mean }) => `${model} ${Number(mean.toPrecision(3))}`).join(", ")}`);
}

/** A value of a model at a place. */
export interface PlacedValue extends ModelValue {
  /** Where. */
  readonly at: number;
}

/** Lines over an axis, with the range over seeds. */
export function lineChart(
  { title, axis, values, chance, isShare = false, size = "large" }: {
    readonly title: string;
    readonly axis: string;
    readonly values: readonly PlacedValue[];
    readonly chance?: number;
    /** Whether values are shares, whose axis then goes from 0 to 1. */
    readonly isShare?: boolean;
    readonly size?: "large" | "small";
  },
): Promise<string> {
  const places = [...new Set(values.map(({ at }) => at))].sort((a, b) => a - b);
  const isLog = places[0] > 0 && places.at(-1)! / places[0] >= 8;
  const x = {
    field: "at",
    type: "quantitative" as const,
    title: axis,
    scale: isLog ? { type: "log" as const, base: 2 } : { zero: false },
    axis: { values: places, labelOverlap: true, labelExpr: IN_WORDS },
  };
  const y = { type: "quantitative" as const, title, ...(isShare ? { scale: { domain: [0, 1] } } : {}) };
  const color = { field: "model", type: "nominal" as const, title: null, sort: null, legend: { symbolOpacity: 1 } };
  return chart({
    ...(size === "large" ? { width: 460, height: 260 } : { width: 220, height: 160 }),
    data: { values: [...values] },
    layer: [
      ...(chance === undefined ? [] : [{
        mark: { type: "rule" as const, strokeDash: [4, 3], color: INK, opacity: 0.6 },
        encoding: { y: { datum: chance } },
      }]),
      {
        mark: { type: "area", opacity: 0.12 },
        encoding: { x, y: { ...y, field: "min" }, y2: { field: "max" }, color },
      },
      { mark: { type: "line", strokeWidth: 2 }, encoding: { x, y: { ...y, field: "mean" }, color } },
      {
        mark: { type: "point", filled: true, size: 50, opacity: 1 },
        encoding: { x, y: { ...y, field: "mean" }, color, shape: { ...color } },
      },
    ],
  }, `${title} over ${axis}, ${new Set(values.map(({ model }) => model)).size} models`);
}

/** A value in a cell of a heat map. */
export interface CellValue {
  readonly model: string;
  readonly x: number;
  readonly y: number;
  readonly value: number;
}

/** A heat map a model. Values are shares, from 0 to 1, and written into the cells. */
export function heatMap(
  { title, x, y, values }: {
    readonly title: string;
    readonly x: string;
    readonly y: string;
    readonly values: readonly CellValue[];
  },
): Promise<string> {
  const at = {
    x: { field: "x", type: "ordinal" as const, title: x, axis: { labelAngle: 0, labelExpr: IN_WORDS } },
    y: { field: "y", type: "ordinal" as const, title: y },
  };
  return chart({
    title: { text: title, anchor: "start", fontSize: 12, fontWeight: "normal" },
    data: { values: [...values] },
    facet: { field: "model", type: "nominal", title: null, sort: null },
    columns: 3,
    spec: {
      width: { step: 34 },
      height: { step: 22 },
      layer: [
        {
          mark: "rect",
          encoding: {
            ...at,
            // The values are written; a legend would be a gradient, whose name has to be unique in its page.
            color: { field: "value", type: "quantitative", legend: null, scale: { domain: [0, 1], scheme: "viridis" } },
          },
        },
        {
          mark: { type: "text", fontSize: 10 },
          encoding: {
            ...at,
            text: { field: "value", type: "quantitative", format: ".2~f" },
            color: { condition: { test: "datum.value > 0.6", value: "black" }, value: "white" },
          },
        },
      ],
    },
  }, `${title} over ${x} and ${y}, a map for each model`);
}

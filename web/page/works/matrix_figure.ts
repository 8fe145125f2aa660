/** A small matrix as a picture, which belongs to a symbol. */
import { svgElement } from "../dom.ts";

/** What to draw. */
export interface MatrixContent {
  /** The symbol that it is. */
  readonly symbol: string;
  /** What it is called below. */
  readonly label: string;
  /** Row by row; as many rows as columns. */
  readonly values: readonly number[];
  /** The size of an entry in full colour. */
  readonly top: number;
}

/** An `svg` element: entries above zero are warm, those below cool. */
export function matrixFigure({ symbol, label, values, top }: MatrixContent): SVGElement {
  const side = Math.round(Math.sqrt(values.length));
  const norm = Math.sqrt(values.reduce((total, value) => total + value * value, 0));
  const figure = svgElement("svg", {
    class: "matrix",
    viewBox: `0 0 ${side} ${side}`,
    role: "img",
    "aria-label": `${label}, of norm ${norm.toFixed(2)}`,
    "data-symbol": symbol,
  });
  figure.append(...values.map((value, i) =>
    svgElement("rect", {
      class: value > 0 ? "above" : "below",
      x: i % side,
      y: Math.floor(i / side),
      width: 1,
      height: 1,
      "fill-opacity": Math.min(1, Math.abs(value) / top).toFixed(2),
    })
  ));
  return figure;
}

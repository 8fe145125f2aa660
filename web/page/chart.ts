/** Lines over a common axis, as SVG. */
import { svgElement } from "./dom.ts";

/** A line of a chart. */
export interface Series {
  /** Label at its end; none if empty. */
  readonly name: string;
  /** Index of colour and dashes. */
  readonly style: 1 | 2 | 3 | 4 | 5 | 6;
  /** Thin and pale. */
  readonly faint?: boolean;
  /** At x = `first`, `first + 1`, ... */
  readonly values: ArrayLike<number>;
}

/** The contents of a chart. */
export interface ChartContent {
  readonly series: readonly Series[];
  /** x of the first values. */
  readonly first: number;
  /** What the places of the x axis are called. Default: numbers from `first` on, of which the ends are named. */
  readonly ticks?: readonly string[];
  /** Largest value of the axis. Default: the largest of the values. */
  readonly top?: number;
  /** Labels of the axes. */
  readonly labels: { readonly x: string; readonly y: string };
  /** Text description. */
  readonly description: string;
}

const LEFT = 40, LETTER = 7, LEAST_RIGHT = 20, TOP = 26, BOTTOM = 30, HEIGHT = 220, LEAST_WIDTH = 280;
/** More points would not be visible. */
const MOST_POINTS = 400;

/** Draws into an `svg` element that has a title and a description. */
export class Chart {
  #svg: SVGSVGElement;
  #description: SVGDescElement;
  #drawing = svgElement("g", {});
  #mark?: SVGElement;
  #width = LEAST_WIDTH;
  /** Room for the names of lines. */
  #right = LEAST_RIGHT;
  #first = 0;
  #count = 0;
  #content?: ChartContent;
  #marked?: number;

  constructor(svg: SVGSVGElement) {
    this.#svg = svg;
    this.#description = svg.querySelector("desc")!;
    svg.append(this.#drawing);
    // What there is to say before there is anything to draw.
    this.#drawing.append(
      svgElement("text", { x: "50%", y: "50%", "text-anchor": "middle" }, this.#description.textContent),
    );
    new ResizeObserver(() => this.#redraw()).observe(svg);
  }

  /** Replaces the contents. */
  show(content: ChartContent): void {
    this.#content = content;
    this.#marked = undefined;
    this.#draw(content);
  }

  /** Draws again where there is more or less room than before. */
  #redraw(): void {
    if (!this.#content || Math.max(LEAST_WIDTH, this.#svg.clientWidth) === this.#width) return;
    this.#draw(this.#content);
    if (this.#marked !== undefined) this.mark(this.#marked);
  }

  #draw({ series, first, ticks, top: asked, labels, description }: ChartContent): void {
    this.#description.textContent = description;
    // One unit is one pixel, so that text is readable on small screens too.
    this.#width = Math.max(LEAST_WIDTH, this.#svg.clientWidth);
    this.#right = Math.max(LEAST_RIGHT, ...series.map(({ name }) => name.length * LETTER + 8));
    this.#svg.setAttribute("viewBox", `0 0 ${this.#width} ${HEIGHT}`);
    this.#first = first;
    this.#count = Math.max(1, ticks?.length ?? 0, ...series.map(({ values }) => values.length));
    const finite = series.flatMap(({ values }) => Array.from(values)).filter(Number.isFinite);
    const top = asked ?? (finite.reduce((most, value) => Math.max(most, value), 0) || 1);
    const y = (value: number): number => HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - TOP);
    const parts: SVGElement[] = [];
    for (const share of [0, 0.5, 1]) {
      parts.push(
        svgElement("line", {
          class: "axis",
          x1: LEFT,
          x2: this.#width - this.#right,
          y1: y(share * top),
          y2: y(share * top),
          opacity: share === 0 ? 1 : 0.3,
        }),
      );
      parts.push(svgElement("text", { x: LEFT - 6, y: y(share * top) + 4, "text-anchor": "end" }, format(share * top)));
    }
    const last = first + this.#count - 1;
    if (ticks) {
      parts.push(
        ...ticks.map((tick, i) =>
          svgElement("text", { x: this.#x(first + i), y: HEIGHT - 12, "text-anchor": "middle" }, tick)
        ),
      );
      parts.push(svgElement("text", { x: this.#width - 4, y: HEIGHT - 12, "text-anchor": "end" }, labels.x));
    } else {
      parts.push(svgElement("text", { x: LEFT, y: HEIGHT - 12 }, `${first}`));
      parts.push(
        svgElement("text", { x: this.#x(last), y: HEIGHT - 12, "text-anchor": "end" }, `${labels.x} ${last}`),
      );
    }
    parts.push(svgElement("text", { x: 4, y: 12 }, labels.y));
    for (const line of series) {
      parts.push(
        svgElement("polyline", {
          class: `series series-${line.style}${line.faint ? " faint" : ""}`,
          points: this.#points(line.values, y),
        }),
      );
      if (line.values.length === 1) {
        parts.push(
          svgElement("circle", {
            class: `series series-${line.style}`,
            cx: this.#x(first),
            cy: y(line.values[0]),
            r: 3,
          }),
        );
      }
    }
    parts.push(...this.#names(series, y));
    this.#drawing.replaceChildren(...parts);
    this.#mark = undefined;
  }

  /** Marks a position on the x axis. */
  mark(x: number): void {
    this.#marked = x;
    if (!this.#mark) {
      this.#mark = svgElement("line", { class: "mark", y1: TOP, y2: HEIGHT - BOTTOM });
      this.#drawing.append(this.#mark);
    }
    for (const end of ["x1", "x2"]) this.#mark.setAttribute(end, String(this.#x(x)));
  }

  /** Calls back with the position on the x axis that a pointer presses, or also with those that it moves over. */
  onPick(picked: (x: number) => void, { hovers = false }: { readonly hovers?: boolean } = {}): void {
    for (const type of hovers ? ["pointerdown", "pointermove"] as const : ["pointerdown"] as const) {
      this.#svg.addEventListener(type, ({ clientX }) => {
        const { left, width } = this.#svg.getBoundingClientRect();
        const at = ((clientX - left) / width * this.#width - LEFT) / (this.#width - LEFT - this.#right);
        picked(this.#first + Math.round(Math.max(0, Math.min(1, at)) * (this.#count - 1)));
      });
    }
  }

  #x(x: number): number {
    return LEFT + (x - this.#first) / Math.max(1, this.#count - 1) * (this.#width - LEFT - this.#right);
  }

  #points(values: ArrayLike<number>, y: (value: number) => number): string {
    const stride = Math.max(1, Math.ceil(values.length / MOST_POINTS));
    const points: string[] = [];
    for (let i = 0; i < values.length; i++) {
      if ((i % stride === 0 || i === values.length - 1) && Number.isFinite(values[i])) {
        points.push(`${this.#x(this.#first + i).toFixed(1)},${y(values[i]).toFixed(1)}`);
      }
    }
    return points.join(" ");
  }

  /** The names at the ends of the lines, moved apart where they would touch. */
  #names(series: readonly Series[], y: (value: number) => number): SVGElement[] {
    const named = series.filter(({ name }) => name)
      .map(({ name, style, values }) => ({ name, style, y: y(Array.from(values).findLast(Number.isFinite) ?? NaN) }))
      .filter(({ y }) => Number.isFinite(y))
      .sort((a, b) => a.y - b.y);
    let least = TOP;
    const places = named.map((entry) => {
      const place = Math.max(entry.y + 4, least);
      least = place + 14;
      return place;
    });
    const excess = Math.max(0, least - 14 - (HEIGHT - BOTTOM + 4));
    return named.map(({ name, style }, i) =>
      svgElement("text", { class: `series-${style}`, x: this.#width - this.#right + 6, y: places[i] - excess }, name)
    );
  }
}

function format(value: number): string {
  return value === 0 ? "0" : value >= 10 ? value.toFixed(0) : value >= 0.1 ? value.toFixed(1) : value.toPrecision(1);
}

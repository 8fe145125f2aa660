/** Shows losses and speed. */
import { Chart } from "./chart.ts";
import { byId, textElement } from "./dom.ts";

/** Number of steps averaged in the bold line. */
const SMOOTHING = 10;
/** Minimum interval between progress messages for screen readers. */
const NEWS_MS = 5000;
/** Rows of the table. */
const ROWS = 20;

/** The figures, chart and table of section 2. */
export class LossView {
  #chart = new Chart(byId("loss-chart", SVGSVGElement));
  #table = byId("loss-table", HTMLTableElement);
  #first = 0;
  #bits: number[] = [];
  #told = 0;
  /** When the last steps arrived, and how long a step takes. */
  #last = 0;
  #stepMs = 0;
  #left = "–";

  /** Starts again at a step. */
  reset(step: number): void {
    this.#first = step;
    this.#bits = [];
    byId("step", HTMLElement).textContent = String(step);
    this.#stepMs = 0;
    this.#last = performance.now();
    for (const id of ["loss", "speed", "left"]) byId(id, HTMLElement).textContent = "–";
    this.#table.tBodies[0].replaceChildren();
  }

  /**
   * Adds the losses of steps.
   * @param step Number of steps so far.
   * @param bits Bits per byte of each step.
   * @param options.end The step after which training ends.
   */
  add(
    step: number,
    bits: readonly number[],
    { end, bytesPerSecond }: { readonly end: number; readonly bytesPerSecond: number },
  ): void {
    const now = performance.now(), stepMs = (now - this.#last) / bits.length;
    // The first steps find caches cold; later ones weigh more.
    if (this.#bits.length > 0) this.#stepMs = this.#stepMs === 0 ? stepMs : 0.8 * this.#stepMs + 0.2 * stepMs;
    this.#last = now;
    this.#bits.push(...bits);
    this.#left = this.#stepMs > 0 && step < end ? timeLeft((end - step) * this.#stepMs) : "–";
    byId("left", HTMLElement).textContent = this.#left;
    const progress = byId("progress", HTMLProgressElement);
    progress.max = end;
    progress.value = step;
    byId("step", HTMLElement).textContent = String(step);
    byId("loss", HTMLElement).textContent = this.#bits.at(-1)!.toFixed(3);
    byId("speed", HTMLElement).textContent = Math.round(bytesPerSecond).toLocaleString("en");
    const smooth = this.#bits.map((_, i) => mean(this.#bits.slice(Math.max(0, i + 1 - SMOOTHING), i + 1)));
    this.#chart.show({
      series: [{ name: "each step", style: 1, faint: true, values: this.#bits }, {
        name: `mean of ${SMOOTHING}`,
        style: 1,
        values: smooth,
      }],
      first: this.#first,
      labels: { x: "step", y: "bits per byte" },
      description: this.summary(),
    });
    const stride = Math.max(1, Math.ceil(smooth.length / ROWS));
    const rows = smooth.flatMap((value, i) =>
      (i + 1) % stride === 0 || i === smooth.length - 1 ? [row(this.#first + i, value)] : []
    );
    this.#table.tBodies[0].replaceChildren(...rows);
  }

  /** Progress, unless it was reported recently. */
  news(): string | undefined {
    if (performance.now() - this.#told < NEWS_MS) return undefined;
    this.#told = performance.now();
    const left = this.#left === "–" ? "" : ` About ${this.#left} left.`;
    return `Training. ${this.summary()}${left}`;
  }

  /** Training has ended: no time is left. */
  end(): void {
    this.#left = byId("left", HTMLElement).textContent = "–";
  }

  /** In words. */
  summary(): string {
    if (this.#bits.length === 0) return "There are no steps yet.";
    const last = mean(this.#bits.slice(-SMOOTHING)).toFixed(2);
    if (this.#bits.length === 1) return `The loss of the first step was ${last} bits per byte.`;
    return `In ${this.#bits.length} steps the loss went from ${this.#bits[0].toFixed(2)} to ${last} bits per byte.`;
  }
}

function timeLeft(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  return seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function row(step: number, bits: number): HTMLTableRowElement {
  const element = document.createElement("tr");
  element.append(textElement("td", String(step)), textElement("td", bits.toFixed(3)));
  return element;
}

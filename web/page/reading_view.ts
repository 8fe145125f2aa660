/** Shows what the memories did. */
import { Chart } from "./chart.ts";
import { byId, textElement } from "./dom.ts";
import { nameOfByte, nameOfNext } from "./names.ts";
import type { Expectation, Reading } from "./protocol.ts";
import { type Colouring, Strip } from "./strip.ts";

/** The quantities by which the text can be coloured. */
type ColourName = "surprise" | "bits" | "help" | "recall";

const NOTES: Readonly<Record<ColourName, string>> = {
  surprise:
    "How much each byte surprised the memory: the norm of the gradient of its inner loss. A memory that learns is surprised less by what it has seen.",
  bits: "Bits that the model needed for each byte: the negative logarithm of the probability that it predicted.",
  help:
    "Bits saved by the memory, compared with a memory that has learned nothing of this text. Blue bytes needed fewer bits, orange ones more.",
  recall:
    "What the memory contributed to the prediction of the selected byte: blue passages made it more likely. For each passage, the text was read again with a memory that skips it.",
};

/** Names of the ends of the scale. */
const LEGENDS: Readonly<Record<ColourName, readonly [string, string]>> = {
  surprise: ["expected", "surprising"],
  bits: ["few bits", "many bits"],
  help: ["the memory misled", "the memory helped"],
  recall: ["made it less likely", "made it more likely"],
};

/** How theta, eta and alpha are drawn. */
const STYLES = [1, 2, 3] as const;

/** Number of passages and bytes in lists. */
const LISTED = 5;

/** Shows readings in the elements of section 4. */
export class ReadingView {
  #strip: Strip;
  #gates = new Chart(byId("gate-chart", SVGSVGElement));
  #position = byId("position", HTMLInputElement);
  #which = byId("which", HTMLSelectElement);
  #reading?: Reading;

  constructor() {
    this.#strip = new Strip(byId("strip", HTMLDivElement), (position) => {
      this.#position.value = String(position);
      this.#choose();
    });
    this.#position.addEventListener("input", () => this.#choose());
    this.#which.addEventListener("change", () => this.#draw());
    for (const radio of document.querySelectorAll("input[name=colour]")) {
      radio.addEventListener("change", () => this.#draw());
    }
  }

  /** Shows a reading. */
  show(reading: Reading): void {
    this.#reading = reading;
    const places = reading.places.map(({ block, head }) => `block ${block + 1}, head ${head + 1}`);
    const names = ["mean over all", ...places];
    this.#which.replaceChildren(
      ...names.map((name, i) => Object.assign(textElement("option", name), { value: String(i) })),
    );
    this.#position.max = String(reading.text.length - 1);
    this.#position.value = String(reading.text.length - 1);
    this.#strip.show(new TextDecoder().decode(reading.text));
    byId("reading", HTMLDivElement).hidden = false;
    this.#draw();
  }

  #colour(): ColourName {
    return document.querySelector<HTMLInputElement>("input[name=colour]:checked")!.value as ColourName;
  }

  /** A quantity of the chosen memory; zeros where the model has none. */
  #values(quantity: string): Float64Array {
    const { quantities, text } = this.#reading!;
    return quantities[quantity]?.[Number(this.#which.value)] ?? new Float64Array(text.length);
  }

  /** Bits saved by what the memory learned of each passage, for the chosen byte; passages after it saved nothing. */
  #recalled(position: number): number[] {
    const { bits, without } = this.#reading!.recall;
    return without.map((each) => each[position] - bits[position]);
  }

  #colouring(): Colouring {
    const { recall, text } = this.#reading!;
    const both = (values: ArrayLike<number>): Colouring => ({
      values,
      top: Math.max(...Array.from(values, (x) => (Number.isFinite(x) ? Math.abs(x) : 0)), 0.01),
      both: true,
    });
    switch (this.#colour()) {
      case "surprise": {
        const values = this.#values("surprise");
        return { values, top: Math.max(...values), both: false };
      }
      case "bits":
        return { values: recall.bits, top: 8, both: false };
      case "help":
        return both(recall.forgotten.map((bits, t) => bits - recall.bits[t]));
      case "recall": {
        const saved = this.#recalled(Number(this.#position.value));
        return both(
          Float64Array.from(text, (_, t) => saved[Math.min(saved.length - 1, Math.floor(t / recall.passage))]),
        );
      }
    }
  }

  #draw(): void {
    if (!this.#reading) return;
    const name = this.#colour(), colouring = this.#colouring();
    byId("colour-note", HTMLParagraphElement).textContent = NOTES[name];
    byId("legend-low", HTMLSpanElement).textContent = LEGENDS[name][0];
    byId("legend-high", HTMLSpanElement).textContent = LEGENDS[name][1];
    byId("legend-bar", HTMLSpanElement).className = colouring.both ? "both" : "";
    this.#strip.colour(colouring);
    this.#summarize(name, colouring.values);
    this.#drawGates();
    this.#choose();
  }

  /** The text alternative of the colours: where the largest values are. */
  #summarize(name: ColourName, values: ArrayLike<number>): void {
    const { text } = this.#reading!;
    const order = Array.from(text, (_, t) => t).filter((t) => Number.isFinite(values[t])).sort((a, b) =>
      values[b] - values[a]
    ).slice(0, LISTED);
    const places = order.map((t) =>
      `${nameOfByte(text, t)} at ${t} in “${this.#strip.around(t)}” (${values[t].toFixed(2)})`
    );
    byId("strip-summary", HTMLParagraphElement).textContent = name === "recall" ? "" : `Largest: ${places.join("; ")}.`;
  }

  #drawGates(): void {
    const gates = (["theta", "eta", "alpha"] as const).map((name) => ({ name, values: this.#values(name) }));
    const largest = gates.map(({ values }) => Math.max(...values));
    const scale = `Largest: ${gates.map(({ name }, i) => `${name} ${largest[i].toPrecision(2)}`).join(", ")}.`;
    const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    this.#gates.show({
      series: gates.map(({ name, values }, i) => ({
        name,
        style: STYLES[i],
        values: values.map((value) => value / (largest[i] || 1)),
      })),
      first: 0,
      top: 1,
      labels: { x: "byte", y: "share" },
      description: `${scale} Means: ${
        gates.map(({ name, values }) => `${name} ${mean(values).toPrecision(2)}`).join(", ")
      }.`,
    });
    byId("gate-scale", HTMLSpanElement).textContent = scale;
  }

  #choose(): void {
    if (!this.#reading) return;
    const { text, recall } = this.#reading, position = Number(this.#position.value);
    const name = `byte ${position}, ${nameOfByte(text, position)}`;
    this.#position.setAttribute("aria-valuetext", name);
    this.#strip.choose(position);
    if (this.#colour() === "recall") this.#strip.colour(this.#colouring());
    this.#gates.mark(position);
    const values = (["surprise", "theta", "eta", "alpha", "updateNorm"] as const).map((quantity) =>
      `${quantity} ${this.#values(quantity)[position].toPrecision(3)}`
    );
    const lines = [`Selected: ${name} in “${this.#strip.around(position)}”. Memory: ${values.join(", ")}.`];
    if (position > 0) {
      lines.push(
        `It needed ${recall.bits[position].toFixed(2)} bits; with a memory that has learned nothing, ${
          recall.forgotten[position].toFixed(2)
        }.`,
      );
      lines.push(
        `Predicted: ${this.#describe(recall.expected, position)}. Without the memory: ${
          this.#describe(recall.expectedForgotten, position)
        }.`,
      );
      lines.push(this.#describeRecall(position));
    } else {
      lines.push("There is no prediction of the first byte.");
    }
    byId("detail", HTMLDivElement).replaceChildren(...lines.map((line) => textElement("p", line)));
  }

  #describe(expected: readonly Expectation[], position: number): string {
    const { bytes, probabilities } = expected[position], { text } = this.#reading!;
    return bytes.map((byte, i) => `${nameOfNext(text, position, byte)} ${(100 * probabilities[i]).toFixed(0)}%`).join(
      ", ",
    );
  }

  #describeRecall(position: number): string {
    const { passage } = this.#reading!.recall;
    const saved = this.#recalled(position).map((bits, i) => ({ bits, i })).filter(({ bits }) => bits > 0.005).sort((
      a,
      b,
    ) => b.bits - a.bits).slice(0, LISTED);
    if (saved.length === 0) return "The memory recalled nothing that made it more likely.";
    const passages = saved.map(({ bits, i }) =>
      `“${this.#strip.between(i * passage, Math.min((i + 1) * passage, position))}” saved ${bits.toFixed(2)} bits`
    );
    return `Recalled from the memory: ${passages.join("; ")}.`;
  }
}

/** Shows what the memories did. */
import { Chart } from "./chart.ts";
import { byId, textElement } from "./dom.ts";
import { type Character, charactersOf } from "./characters.ts";
import { nameOfCharacter, nameOfNext } from "./names.ts";
import type { Expectation, Reading } from "./protocol.ts";
import { type Colouring, Strip } from "./strip.ts";

/** The quantities by which the text can be coloured. */
type ColourName = "surprise" | "bits" | "help" | "recall";

const NOTES: Readonly<Record<ColourName, string>> = {
  surprise:
    "How much each character surprised the memory: the norm of the gradient of its inner loss. A memory that learns is surprised less by what it has seen.",
  bits: "Bits that the model needed for each character: the negative logarithm of the probability that it predicted.",
  help:
    "Bits saved by the memory, compared with a memory that has learned nothing of this text. Blue bytes needed fewer bits, orange ones more.",
  recall:
    "What the memory contributed to the prediction of the selected character: blue passages made it more likely. For each passage, the text was read again with a memory that skips it.",
};

/** Names of the ends of the scale. */
const LEGENDS: Readonly<Record<ColourName, readonly [string, string]>> = {
  surprise: ["expected", "surprising"],
  bits: ["few bits", "many bits"],
  help: ["the memory misled", "the memory helped"],
  recall: ["made it less likely", "made it more likely"],
};

/** What is said of the memory at a character. */
const QUANTITIES = [
  ["surprise", "surprise"],
  ["theta", "step size theta"],
  ["eta", "momentum eta"],
  ["alpha", "forgetting alpha"],
  ["updateNorm", "norm of the change"],
] as const;

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
  #characters: readonly Character[] = [];

  constructor() {
    this.#strip = new Strip(byId("strip", HTMLDivElement), (start) => {
      this.#position.value = String(this.#characters.findIndex((character) => character.start === start));
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
    const text = new TextDecoder().decode(reading.text);
    this.#characters = charactersOf(text);
    // In this order: a value beyond the maximum is cut.
    this.#position.max = String(this.#characters.length - 1);
    this.#position.value = this.#position.max;
    this.#strip.show(text);
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

  /** The character that is chosen. */
  get #chosen(): Character {
    return this.#characters[this.#position.valueAsNumber];
  }

  /** The sum of a quantity over the bytes of a character. */
  #sum(values: Float64Array, { start, end }: Character): number {
    return values.subarray(start, end).reduce((sum, value) => sum + value, 0);
  }

  /** Its mean. */
  #mean(values: Float64Array, character: Character): number {
    return this.#sum(values, character) / (character.end - character.start);
  }

  /** Bits saved by what the memory learned of each passage, for a character; passages after it saved nothing. */
  #recalled(character: Character): number[] {
    const { bits, without } = this.#reading!.recall;
    return without.map((each) => this.#sum(each, character) - this.#sum(bits, character));
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
        const saved = this.#recalled(this.#chosen);
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
    this.#summarize(name, Float64Array.from(colouring.values));
    this.#drawGates();
    this.#choose();
  }

  /** The text alternative of the colours: where the largest values are. */
  #summarize(name: ColourName, values: Float64Array): void {
    const characters = this.#characters.map((character, i) => ({
      ...character,
      i,
      value: this.#mean(values, character),
    }))
      .filter(({ value }) => Number.isFinite(value)).sort((a, b) => b.value - a.value).slice(0, LISTED);
    const places = characters.map(({ text, i, start, value }) =>
      `${nameOfCharacter(text)} at ${i} in “${this.#strip.around(start)}” (${value.toFixed(2)})`
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
    const { recall } = this.#reading, character = this.#chosen, { start } = character;
    const name = `character ${this.#position.value}, ${nameOfCharacter(character.text)}`;
    this.#position.setAttribute("aria-valuetext", name);
    this.#strip.choose(start);
    if (this.#colour() === "recall") this.#strip.colour(this.#colouring());
    this.#gates.mark(start);
    const values = QUANTITIES.map(([quantity, name]) =>
      `${name} ${this.#mean(this.#values(quantity), character).toPrecision(3)}`
    );
    const lines = [`Selected: ${name} in “${this.#strip.around(start)}”. Memory: ${values.join(", ")}.`];
    if (start > 0) {
      lines.push(
        `It needed ${this.#sum(recall.bits, character).toFixed(2)} bits; with a memory that has learned nothing, ${
          this.#sum(recall.forgotten, character).toFixed(2)
        }.`,
      );
      lines.push(
        `Predicted: ${this.#describe(recall.expected, start)}. Without the memory: ${
          this.#describe(recall.expectedForgotten, start)
        }.`,
      );
      lines.push(this.#describeRecall(character));
    } else {
      lines.push("There is no prediction of the first character.");
    }
    byId("detail", HTMLDivElement).replaceChildren(...lines.map((line) => textElement("p", line)));
  }

  #describe(expected: readonly Expectation[], position: number): string {
    const { bytes, probabilities } = expected[position], { text } = this.#reading!;
    return bytes.map((byte, i) => `${nameOfNext(text, position, byte)} ${(100 * probabilities[i]).toFixed(0)}%`).join(
      ", ",
    );
  }

  #describeRecall(character: Character): string {
    const { passage } = this.#reading!.recall, position = character.start;
    const saved = this.#recalled(character).map((bits, i) => ({ bits, i })).filter(({ bits }) => bits > 0.005).sort((
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

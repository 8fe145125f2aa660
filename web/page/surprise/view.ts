/** The surprise tab: a visitor's text, and what the memories of a model do at each of its characters. */
import { Chart } from "../chart.ts";
import { type Character, charactersOf } from "../characters.ts";
import { byId, textElement } from "../dom.ts";
import { nameOfCharacter } from "../names.ts";
import { EXAMPLES } from "./examples.ts";
import { PARTS, type ReadingModel, type Source, type SurpriseReply, type SurpriseRequest } from "./protocol.ts";
import { Ribbon } from "./ribbon.ts";
import { Traces } from "./traces.ts";

/** More bytes are not read. */
const MOST_READ = 3000;
/** How long a visitor pauses in typing before the text is read. */
const PAUSE_MS = 400;
/** The colours of rows, by what they show: the same in text, chart and table. */
const STYLES = { bits: 2, trained: 6, surprise: 1, theta: 3, eta: 4, alpha: 5 } as const;
type RowKey = keyof typeof STYLES;
/** These shares of a row's values are its palest and its full colour. */
const PALEST = 0.02, FULL = 0.98;

const element = (id: string): HTMLElement => byId(`surprise-${id}`, HTMLElement);
const part = (name: string): HTMLInputElement => byId(`surprise-${name}`, HTMLInputElement);
const list = (id: string): HTMLSelectElement => byId(`surprise-${id}`, HTMLSelectElement);

/** A row as it is shown: values, and what they are pale and strong between. */
interface ShownRow {
  readonly key: RowKey;
  readonly symbol: string;
  readonly name: string;
  readonly meaning: string;
  readonly values: Float64Array;
  readonly strengths: Float64Array;
  readonly range: readonly [low: number, high: number];
}

/** Everything on the surprise tab. */
export class SurpriseView {
  readonly #worker = new Worker("surprise/worker.js", { type: "module" });
  readonly #text = byId("surprise-text", HTMLTextAreaElement);
  readonly #position = byId("surprise-position", HTMLInputElement);
  readonly #table = byId("surprise-table", HTMLTableElement);
  readonly #ribbon = new Ribbon(element("ribbon"), (at) => this.#choose(at));
  readonly #chart = new Chart(byId("surprise-chart", SVGSVGElement));
  #characters: readonly Character[] = [];
  #traces?: Traces;
  #rows: readonly ShownRow[] = [];
  #at = 0;
  #id = 0;
  #timer?: ReturnType<typeof setTimeout>;

  constructor() {
    this.#worker.addEventListener("message", ({ data }: MessageEvent<SurpriseReply>) => this.#receive(data));
    this.#worker.addEventListener(
      "error",
      (event) => this.#fail(`The page's worker failed: ${event.message || "it could not be loaded"}`),
    );
    this.#chart.onPick((at) => this.#choose(at - 1), { hovers: true });
    list("example").replaceChildren(...[...EXAMPLES.map(({ title }) => title), "your own"].map(option));
    list("example").addEventListener("change", () => this.#example());
    this.#text.addEventListener("input", () => {
      list("example").value = String(EXAMPLES.length);
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#read(), PAUSE_MS);
    });
    list("source").addEventListener("change", () => this.#read());
    for (const name of PARTS) part(name).addEventListener("change", () => this.#read());
    list("memory").addEventListener("change", () => {
      this.#draw();
      this.#fillTable();
    });
    this.#position.addEventListener("input", () => this.#choose(this.#position.valueAsNumber));
    byId("surprise-as-table", HTMLDetailsElement).addEventListener("toggle", () => this.#fillTable());
    this.#text.value = EXAMPLES[0].text;
  }

  /** Reads the text that is there, or another. */
  show(text = this.#text.value): void {
    this.#text.value = text;
    this.#read();
  }

  #example(): void {
    const example = EXAMPLES[Number(list("example").value)];
    if (example) this.show(example.text);
    else this.#text.focus();
  }

  #fail(message: string): void {
    const box = element("error");
    box.hidden = message === "";
    box.textContent = message;
  }

  #read(): void {
    this.#fail("");
    const bytes = new Uint8Array(MOST_READ), { read, written } = new TextEncoder().encodeInto(this.#text.value, bytes);
    const characters = charactersOf(this.#text.value.slice(0, read));
    const rest = read < this.#text.value.length
      ? `; the text is longer, and the first ${MOST_READ} bytes are read`
      : "";
    element("size").textContent = `${characters.length.toLocaleString("en")} characters${rest}.`;
    if (characters.length < 2) return this.#fail("Enter a text of at least two characters.");
    this.#characters = characters;
    this.#ribbon.show(characters);
    this.#traces = undefined;
    this.#position.max = String(characters.length - 1);
    this.#at = Math.min(this.#at, characters.length - 1);
    this.#say("Reading.");
    const request: SurpriseRequest = {
      id: ++this.#id,
      source: list("source").value as Source,
      off: PARTS.filter((name) => !part(name).checked && !part(name).disabled),
      text: bytes.slice(0, written),
    };
    this.#worker.postMessage(request);
  }

  #receive(reply: SurpriseReply): void {
    if (reply.id !== this.#id) return;
    switch (reply.type) {
      case "error":
        this.#say("");
        return this.#fail(reply.message);
      case "model":
        return this.#begin(reply.model);
      case "piece":
        this.#traces!.add(reply);
        // The beginning is there at once; to draw every piece would take longer than to read it.
        return reply.start === 0 ? this.#draw() : undefined;
      case "done":
        this.#draw();
        this.#fillTable();
        return this.#say(this.#summary());
    }
  }

  #begin(model: ReadingModel): void {
    this.#traces = new Traces(this.#characters, model);
    element("model").textContent = `${model.name}, ${
      model.parameters.toLocaleString("en")
    } parameters, on ${model.device}`;
    for (const name of PARTS) {
      const box = part(name), has = model.parts.includes(name);
      box.checked = has && (box.checked || box.disabled);
      box.disabled = !has;
    }
    const names = ["mean over all", ...model.places.map(({ block, head }) => `block ${block + 1}, head ${head + 1}`)];
    if (list("memory").options.length !== names.length) list("memory").replaceChildren(...names.map(option));
  }

  #say(text: string): void {
    element("status").textContent = text;
  }

  /** Where it cost and surprised most, in words. */
  #summary(): string {
    const { characters } = this.#traces!;
    const most = this.#rows.filter(({ key }) => key === "bits" || key === "surprise").map(({ key, name, values }) => {
      const top = [...values.keys()].filter((at) => Number.isFinite(values[at])).sort((a, b) => values[b] - values[a]);
      return `The highest ${name}: ${
        top.slice(0, 3).map((at) =>
          `${nameOfCharacter(characters[at].text)} at ${at + 1} (${figure(values[at])}${key === "bits" ? " bits" : ""})`
        ).join(", ")
      }.`;
    });
    const mean = (row: ShownRow): string => {
      const bits = row.values.filter(Number.isFinite);
      return (bits.reduce((sum, value) => sum + value, 0) / bits.length).toFixed(2);
    };
    const [bits, trained] = (["bits", "trained"] as const).map((key) => this.#rows.find((row) => row.key === key));
    const compared = trained ? `; ${mean(trained)} as trained` : "";
    return `Read ${characters.length} characters, ${bits ? mean(bits) : "–"} bits each${compared}. ${most.join(" ")}`;
  }

  #draw(): void {
    const traces = this.#traces;
    if (!traces) return;
    const rows = traces.rows(Number(list("memory").value) || 0), costs = rows.find(({ key }) => key === "bits");
    this.#rows = rows.map(({ key, row, values }) => {
      // Both costs are drawn alike, so that they can be compared.
      const isCost = key === "bits" || key === "trained";
      const range = rangeOf(isCost && costs ? costs.values : values, isCost), [low, high] = range;
      const strengths = values.map((value) => Math.max(0, Math.min(1, (value - low) / (high - low || 1))));
      return { ...row, key: key as RowKey, values, strengths, range };
    });
    this.#ribbon.colour(this.#rows.map(({ key, strengths }) => ({ colour: `--series-${STYLES[key]}`, strengths })));
    this.#chart.show({
      series: this.#rows.filter(({ key }) => key === "bits" || key === "trained" || key === "surprise")
        .map(({ key, name, strengths }) => ({ name, style: STYLES[key], values: strengths })),
      first: 1,
      top: 1,
      labels: { x: "character", y: "share of the row’s range" },
      description: this.#rows.map(({ name, range: [low, high] }) => `${name} from ${figure(low)} to ${figure(high)}`)
        .join("; "),
    });
    this.#choose(this.#at);
  }

  /** Shows a character in all rows, and its figures. */
  #choose(at: number): void {
    const traces = this.#traces, character = traces?.characters[at];
    if (!character) return;
    this.#at = at;
    this.#position.value = String(at);
    this.#ribbon.choose(at);
    this.#chart.mark(at + 1);
    const name = `character ${at + 1}, ${nameOfCharacter(character.text)}`;
    const said = this.#rows.map(({ name, values }) => `${name} ${figure(values[at])}`).join(", ");
    this.#position.setAttribute("aria-valuetext", `${name}: ${said}`);
    element("chosen").textContent = `At ${name}`;
    element("figures").replaceChildren(...this.#rows.map((row) => figuresOf(row, at)));
  }

  /** The text alternative, made when it is opened. */
  #fillTable(): void {
    const traces = this.#traces;
    if (!traces || !byId("surprise-as-table", HTMLDetailsElement).open) return;
    const cells = (name: "td" | "th", texts: readonly string[]): HTMLTableRowElement => {
      const row = document.createElement("tr");
      row.append(...texts.map((text) => textElement(name, text)));
      return row;
    };
    this.#table.tHead!.replaceChildren(cells("th", ["", "character", ...this.#rows.map(({ name }) => name)]));
    this.#table.tBodies[0].replaceChildren(
      ...traces.characters.slice(0, traces.charactersRead).map(({ text }, at) =>
        cells("td", [String(at + 1), nameOfCharacter(text), ...this.#rows.map(({ values }) => figure(values[at]))])
      ),
    );
  }
}

function option(text: string, i: number): HTMLElement {
  return Object.assign(textElement("option", text), { value: String(i) });
}

function figure(value: number): string {
  return Number.isFinite(value) ? value.toPrecision(value >= 100 ? 3 : 2) : "–";
}

/** What a row is pale and strong between; costs begin at zero. */
function rangeOf(values: Float64Array, fromZero: boolean): readonly [number, number] {
  const sorted = values.filter(Number.isFinite).sort(),
    at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  return [fromZero ? 0 : at(PALEST), at(FULL)];
}

/** A row of the table of figures, which is the key to the colours too. */
function figuresOf({ key, symbol, name, meaning, values, range }: ShownRow, at: number): HTMLTableRowElement {
  const row = document.createElement("tr"), head = textElement("th", `${symbol} ${name}`);
  head.setAttribute("scope", "row");
  head.style.setProperty("--colour", `var(--series-${STYLES[key]})`);
  const [low, high] = range.map(figure);
  row.append(head, textElement("td", figure(values[at])), textElement("td", `${meaning}; pale ${low}, full ${high}`));
  return row;
}

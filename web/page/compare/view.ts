/** The tab that compares models: what they carry, and how long a token takes, on the visitor's device. */
import { Chart, type Series } from "../chart.ts";
import { Controls } from "../controls.ts";
import { byId, textElement } from "../dom.ts";
import type { ModelKind } from "../../../titans/mod.ts";
import type { CompareReply, CompareRequest, Measured } from "./protocol.ts";

/** Shortest text; each is four times as long as the one before. */
const SHORTEST = 64, FACTOR = 4;
/** What a model costs to prepare, in tokens read: for the estimate of what is left. */
const PREPARING = 2000;

const element = (id: string): HTMLElement => byId(`compare-${id}`, HTMLElement);
const list = (id: string): HTMLSelectElement => byId(`compare-${id}`, HTMLSelectElement);

/** Models to choose from, as the form has them. */
interface Choice {
  readonly kind: ModelKind;
  readonly name: string;
  readonly isChosen: boolean;
}

function choices(): Choice[] {
  return [...document.querySelectorAll<HTMLInputElement>("input[name=compared]")].map((box) => ({
    kind: box.value as ModelKind,
    name: box.dataset.name!,
    isChosen: box.checked,
  }));
}

/** Everything on the tab. */
export class CompareView {
  readonly #worker = new Worker("compare/worker.js", { type: "module" });
  readonly #state = new Chart(byId("compare-state", SVGSVGElement));
  readonly #time = new Chart(byId("compare-time", SVGSVGElement));
  readonly #progress = byId("compare-progress", HTMLProgressElement);
  readonly #controls = new Controls(["compare-start", "compare-stop"]);
  #lengths: readonly number[] = [];
  #models: readonly Choice[] = [];
  #measured: readonly Measured[] = [];
  #began = 0;

  constructor() {
    this.#worker.addEventListener("message", ({ data }: MessageEvent<CompareReply>) => this.#receive(data));
    this.#worker.addEventListener(
      "error",
      (event) => this.#fail(`The page's worker failed: ${event.message || "it could not be loaded"}`),
    );
    byId("compare-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#controls.isEnabled("compare-start")) this.#start();
    });
    element("stop").addEventListener("click", () => {
      if (!this.#controls.isEnabled("compare-stop")) return;
      element("status").textContent = "Stopping.";
      this.#send({ type: "stop" });
    });
    this.#idle();
  }

  #send(request: CompareRequest): void {
    this.#worker.postMessage(request);
  }

  #idle(): void {
    this.#controls.enable({ "compare-start": true, "compare-stop": false });
  }

  #fail(message: string): void {
    this.#idle();
    element("status").textContent = "";
    element("error").hidden = message === "";
    element("error").textContent = message;
  }

  #start(): void {
    this.#fail("");
    this.#models = choices().filter(({ isChosen }) => isChosen);
    if (this.#models.length === 0) return this.#fail("Choose at least one model.");
    const longest = Number(list("longest").value);
    this.#lengths = Array.from({ length: 20 }, (_, i) => SHORTEST * FACTOR ** i).filter((each) => each <= longest);
    this.#measured = [];
    this.#began = performance.now();
    this.#progress.max = this.#work(this.#lengths.flatMap((length) => this.#models.map(() => length)));
    this.#progress.value = 0;
    this.#controls.enable({ "compare-start": false, "compare-stop": true });
    element("status").textContent = "Opening the device.";
    const models = this.#models.map(({ kind }) => kind), device = list("device").value as "cpu" | "webgpu";
    this.#send({ type: "start", models, lengths: this.#lengths, device });
  }

  #work(lengths: readonly number[]): number {
    return lengths.reduce((sum, length) => sum + length + PREPARING, 0);
  }

  #name(kind: ModelKind): string {
    return this.#models.find((model) => model.kind === kind)?.name ?? kind;
  }

  #receive(reply: CompareReply): void {
    switch (reply.type) {
      case "error":
        return this.#fail(reply.message);
      case "begin": {
        const share = this.#progress.value / this.#progress.max, seconds = (performance.now() - this.#began) / 1000;
        // The first texts are short, and what the device needs to get going is in their time.
        const left = this.#measured.length >= this.#models.length
          ? `, about ${Math.ceil(seconds / share - seconds)} s left`
          : "";
        element("status").textContent = `Measuring ${this.#name(reply.model)} after ${
          reply.length.toLocaleString("en")
        } tokens${left}.`;
        return;
      }
      case "measured":
        this.#measured = [...this.#measured, reply.measured];
        this.#progress.value = this.#work(this.#measured.map(({ length }) => length));
        return this.#draw();
      case "done":
        this.#idle();
        element("status").textContent = `${reply.stopped ? "Stopped" : "Done"}, on ${reply.device}. ${this.#summary()}`;
        return;
    }
  }

  /** How both figures grew, in words. */
  #summary(): string {
    const grown = this.#models.flatMap(({ kind, name }) => {
      const own = this.#measured.filter(({ model }) => model === kind), first = own[0], last = own.at(-1);
      if (!last || first === last) return [];
      const state = last.stateBytes / first.stateBytes, time = last.msPerToken / first.msPerToken;
      return [`${name}: state × ${state.toFixed(1)}, time × ${time.toFixed(1)}`];
    });
    const longest = this.#measured.at(-1)?.length.toLocaleString("en");
    return grown.length === 0 ? "" : `From ${this.#lengths[0]} to ${longest} tokens: ${grown.join("; ")}.`;
  }

  #draw(): void {
    const show = (chart: Chart, y: string, valueOf: (measured: Measured) => number): void => {
      const series = this.#models.map(({ kind, name }, i): Series => ({
        name,
        style: (i % 5 + 1) as Series["style"],
        values: this.#measured.filter(({ model }) => model === kind).map(valueOf),
      }));
      const ticks = this.#lengths.map(String);
      chart.show({ series, first: 0, ticks, labels: { x: "tokens", y }, description: `${y}. ${this.#summary()}` });
    };
    show(this.#state, "KiB carried from token to token", ({ stateBytes }) => stateBytes / 1024);
    show(this.#time, "milliseconds per token", ({ msPerToken }) => msPerToken);
    const rows = this.#measured.map(({ model, length, parameters, stateBytes, msPerToken }) => {
      const row = document.createElement("tr"), numbers = [length, parameters, Math.round(stateBytes / 1024)];
      row.append(
        textElement("th", this.#name(model)),
        ...numbers.map((each) => textElement("td", each.toLocaleString("en"))),
        textElement("td", msPerToken.toFixed(2)),
      );
      row.firstElementChild!.setAttribute("scope", "row");
      return row;
    });
    byId("compare-table", HTMLTableElement).tBodies[0].replaceChildren(...rows);
  }
}

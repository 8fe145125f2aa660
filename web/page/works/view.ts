/** The tab on how it works: figures that are computed here, beside their equations. */
import type { CostAt } from "../../../figures/cost.ts";
import { Chart, type Series } from "../chart.ts";
import { byId, textElement } from "../dom.ts";
import { matrixFigure } from "./matrix_figure.ts";
import type { Gates, Updated, WorksReply, WorksRequest } from "./protocol.ts";
import { SymbolKeys } from "./symbol_keys.ts";
import type { ModelKind } from "../../../titans/mod.ts";

/** Tokens that the small memories know: letters from `a` on. */
const LETTERS = "abcdefgh";

const element = (id: string): HTMLElement => byId(`works-${id}`, HTMLElement);
const input = (id: string): HTMLInputElement => byId(`works-${id}`, HTMLInputElement);

/** The tokens that letters stand for; others are left out. */
function tokensOf(text: string): number[] {
  return Array.from(text.toLowerCase(), (letter) => LETTERS.indexOf(letter)).filter((token) => token >= 0);
}

/** Everything on the tab. */
export class WorksView {
  readonly #worker = new Worker("works/worker.js", { type: "module" });
  readonly #charts = {
    cost: new Chart(byId("works-cost", SVGSVGElement)),
    state: new Chart(byId("works-state", SVGSVGElement)),
    surprise: new Chart(byId("works-surprise", SVGSVGElement)),
  };
  readonly #keys = new SymbolKeys(byId("panel-works", HTMLElement));
  readonly #costs: CostAt[] = [];

  constructor() {
    this.#worker.addEventListener("message", ({ data }: MessageEvent<WorksReply>) => this.#receive(data));
    this.#worker.addEventListener(
      "error",
      (event) => this.#fail(`The page's worker failed: ${event.message || "it could not be loaded"}`),
    );
    input("linear-text").addEventListener("input", () => this.#linear());
    for (const id of ["update-text", "theta", "eta", "alpha"]) {
      input(id).addEventListener("input", () => this.#update());
    }
    this.#linear();
    this.#update();
    const models = [...document.querySelectorAll<HTMLElement>("[data-model]")].map(({ dataset }) => dataset.model!);
    this.#send({ type: "diagrams", models: models as ModelKind[] });
    this.#send({ type: "cost" });
  }

  #send(request: WorksRequest): void {
    this.#worker.postMessage(request);
  }

  #fail(message: string): void {
    element("error").hidden = false;
    element("error").textContent = message;
  }

  #linear(): void {
    this.#send({ type: "linear", tokens: tokensOf(input("linear-text").value) });
  }

  #update(): void {
    const gates: Gates = {
      theta: input("theta").valueAsNumber,
      eta: input("eta").valueAsNumber,
      alpha: input("alpha").valueAsNumber,
    };
    for (const [name, value] of Object.entries(gates)) element(`${name}-said`).textContent = value.toFixed(2);
    this.#send({ type: "update", tokens: tokensOf(input("update-text").value), gates });
  }

  #receive(reply: WorksReply): void {
    switch (reply.type) {
      case "error":
        return this.#fail(reply.message);
      case "cost":
        this.#costs.push(reply.cost);
        this.#drawCosts();
        return void (element("cost-status").textContent = reply.isLast ? "" : "Counting.");
      case "diagram": {
        const place = document.querySelector<HTMLElement>(`[data-model=${reply.model}]`)!;
        place.innerHTML = reply.svg;
        return this.#keys.connect();
      }
      case "linear": {
        const top = largest(reply.writes.map(({ kept }) => kept));
        element("linear").replaceChildren(...reply.writes.map(({ token, written, kept }) =>
          column(token, [
            matrixFigure({ symbol: "outer", label: "written", values: written, top }),
            matrixFigure({ symbol: "memory", label: "kept", values: kept, top }),
          ])
        ));
        return this.#keys.connect();
      }
      case "update":
        return this.#drawUpdates(reply.updates);
    }
  }

  #drawUpdates(updates: readonly Updated[]): void {
    const top = largest(updates.map(({ memory }) => memory));
    element("update").replaceChildren(...updates.map(({ token, momentum, memory }) =>
      column(token, [
        matrixFigure({ symbol: "surprise", label: "S", values: momentum, top }),
        matrixFigure({ symbol: "memory", label: "M", values: memory, top }),
      ])
    ));
    const letters = updates.map(({ token }) => LETTERS[token]), figures = updates.map(({ surprise }) => surprise);
    this.#charts.surprise.show({
      series: [{ name: "|∇ℓ|", style: 1, values: figures }],
      first: 1,
      ticks: letters,
      labels: { x: "", y: "surprise of each letter" },
      description: updates.map(({ token, surprise, loss }) =>
        `${LETTERS[token]}: surprise ${surprise.toFixed(2)}, loss ${loss.toFixed(2)}`
      ).join("; "),
    });
    this.#keys.connect();
  }

  #drawCosts(): void {
    const names = [...new Set(this.#costs.map(({ model }) => model))], first = names[0];
    const ticks = this.#costs.filter(({ model }) => model === first).map(({ tokens }) => String(tokens));
    const show = (chart: Chart, y: string, valueOf: (cost: CostAt) => number): void => {
      const series = names.map((name, i): Series => ({
        name: NAMES[name] ?? name,
        style: (i % 5 + 1) as Series["style"],
        values: this.#costs.filter(({ model }) => model === name).map(valueOf),
      }));
      const last = series.map(({ name, values }) => `${name} ${values[values.length - 1].toFixed(1)}`).join(", ");
      chart.show({
        series,
        first: 0,
        ticks,
        labels: { x: "tokens", y },
        description: `${y} at the longest text: ${last}`,
      });
    };
    show(this.#charts.cost, "million operations per token", ({ flopsPerToken }) => flopsPerToken / 1e6);
    show(this.#charts.state, "KiB carried from token to token", ({ stateBytes }) => stateBytes / 1024);
  }
}

/** What the models are called in figures. */
const NAMES: Readonly<Partial<Record<CostAt["model"], string>>> = {
  transformer: "Transformer",
  swa: "window",
  lmm: "LMM",
  mac: "MAC",
  gatedDeltaNet: "Gated DeltaNet",
};

function largest(matrices: readonly (readonly number[])[]): number {
  return Math.max(1e-6, ...matrices.flat().map(Math.abs));
}

/** The matrices of a token, below its letter. */
function column(token: number, matrices: readonly Element[]): HTMLElement {
  const item = document.createElement("li");
  item.append(textElement("p", LETTERS[token]), ...matrices);
  return item;
}

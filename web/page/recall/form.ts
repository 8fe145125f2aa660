/** The form of the recall tab: what a visitor tells, how the memory learns, and the address that says the same. */
import { byId, textElement } from "../dom.ts";
import type { Learning } from "./protocol.ts";
import { type Fact, problemOf } from "./story.ts";

/** The head that writes facts, in the model that comes with the page. */
const FACT_HEAD = 0;

const field = (id: string): HTMLInputElement => byId(`recall-${id}`, HTMLInputElement);
const list = (id: string): HTMLSelectElement => byId(`recall-${id}`, HTMLSelectElement);

/** What was chosen. */
export interface Choices {
  readonly fact: Fact;
  readonly learning: Learning;
  /** Whose memory is shown, counted through the heads of all blocks. */
  readonly head: number;
}

/** The fields above the memory. */
export class RecallForm {
  /** @param changed Called when what is chosen should be read. */
  constructor(changed: () => void) {
    byId("recall-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      changed();
    });
    for (const id of ["tellings", "learning", "head"]) list(id).addEventListener("change", changed);
    field("distance").addEventListener("input", () => this.#describe());
    field("distance").addEventListener("change", changed);
    this.#describe();
  }

  /** What is chosen now. */
  get choices(): Choices {
    return {
      fact: {
        name: field("name").value.trim(),
        value: field("value").value.trim().toUpperCase(),
        tellings: Number(list("tellings").value),
        distance: field("distance").valueAsNumber,
      },
      learning: list("learning").value as Learning,
      head: Number(list("head").value),
    };
  }

  /** Says what is wrong with the fact, if anything is. @returns whether nothing is. */
  check(): boolean {
    const problem = problemOf(this.choices.fact);
    this.fail(problem ?? "");
    return problem === undefined;
  }

  /** Shows an error, or none. */
  fail(message: string): void {
    const box = byId("recall-error", HTMLElement);
    box.hidden = message === "";
    box.textContent = message;
  }

  /** Offers heads to look at. */
  offerHeads(count: number): void {
    list("head").replaceChildren(...Array.from({ length: count }, (_, head) => {
      const option = textElement("option", `${head + 1}${head === FACT_HEAD ? ", which keeps facts" : ""}`);
      return Object.assign(option, { value: String(head), selected: head === FACT_HEAD });
    }));
  }

  /** Takes choices from an address, as {@link RecallForm.address} writes them. */
  take(parameters: URLSearchParams): void {
    for (const id of ["name", "value", "distance"]) field(id).value = parameters.get(id) ?? field(id).value;
    for (const id of ["tellings", "learning", "head"]) {
      const value = parameters.get(id);
      if (value !== null && [...list(id).options].some((option) => option.value === value)) list(id).value = value;
    }
    this.#describe();
  }

  /** The choices as an address, for whoever wants to share them. */
  get address(): string {
    const { fact: { name, value, tellings, distance }, learning, head } = this.choices;
    const chosen = {
      name,
      value,
      tellings: String(tellings),
      distance: String(distance),
      learning,
      head: String(head),
    };
    return `#recall?${new URLSearchParams(chosen)}`;
  }

  #describe(): void {
    const said = `${field("distance").valueAsNumber.toLocaleString("en")} bytes`;
    byId("recall-distance-said", HTMLOutputElement).textContent = said;
  }
}

/** Symbols of equations as keys to the figures: point at one, and its meaning is said and its parts are marked. */
import { SYMBOLS } from "./symbols.ts";

/** Marks what a symbol stands for. */
export class SymbolKeys {
  readonly #panel: HTMLElement;

  /**
   * @param panel Has buttons with a symbol in `data-key`, and figures with parts; sections say a meaning in `.meaning`.
   */
  constructor(panel: HTMLElement) {
    this.#panel = panel;
    for (const key of panel.querySelectorAll<HTMLElement>("[data-key]")) {
      const name = key.dataset.key!;
      key.title = SYMBOLS[name].meaning;
      for (const type of ["pointerenter", "focus", "click"]) key.addEventListener(type, () => this.#choose(key, name));
    }
  }

  /** Finds the parts of figures that were drawn since. */
  connect(): void {
    for (const section of this.#panel.querySelectorAll<HTMLElement>("section")) {
      if (section.dataset.symbol !== undefined) this.#mark(section, section.dataset.symbol);
    }
  }

  #choose(key: HTMLElement, name: string): void {
    const section = key.closest("section")!;
    section.dataset.symbol = name;
    section.querySelector(".meaning")!.textContent = SYMBOLS[name].meaning;
    for (const other of section.querySelectorAll<HTMLElement>("[data-key]")) {
      other.classList.toggle("lit", other.dataset.key === name);
    }
    this.#mark(section, name);
  }

  #mark(section: HTMLElement, name: string): void {
    const stations = [name, ...SYMBOLS[name].stations ?? []];
    for (const part of section.querySelectorAll<HTMLElement | SVGElement>("figure [data-symbol], [data-station]")) {
      const { symbol, station } = part.dataset;
      part.classList.toggle("lit", symbol === name || station !== undefined && stations.includes(station));
    }
  }
}

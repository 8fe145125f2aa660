/** Tabs: one panel at a time, chosen by mouse, arrow keys or the address. */
import { byId } from "./dom.ts";

/** Called with the parameters of the address when a panel is shown. */
export type Shown = (parameters: URLSearchParams) => void;

/** The tabs of the page. The address names the one that is shown, such as `#train`. */
export class Tabs {
  readonly #names: readonly string[];
  readonly #shown: Readonly<Record<string, Shown>>;

  /**
   * Shows what the address names, or the first.
   * @param names A tab `tab-NAME` controls a panel `panel-NAME`.
   * @param shown What to do when a panel is shown, by name.
   */
  constructor(names: readonly string[], shown: Readonly<Record<string, Shown>> = {}) {
    this.#names = names;
    this.#shown = shown;
    for (const name of names) {
      const tab = this.#tab(name);
      tab.addEventListener("click", () => this.#go(name));
      tab.addEventListener("keydown", (event) => this.#move(event, names.indexOf(name)));
    }
    addEventListener("hashchange", () => this.#follow());
    this.#follow();
  }

  #tab(name: string): HTMLButtonElement {
    return byId(`tab-${name}`, HTMLButtonElement);
  }

  #go(name: string): void {
    if (this.#named().name === name) return;
    location.hash = name;
  }

  #move(event: KeyboardEvent, at: number): void {
    const last = this.#names.length - 1;
    const to =
      { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.#go(this.#names[to]);
    this.#tab(this.#names[to]).focus();
  }

  /** What the address asks for, such as `#recall?name=key`. */
  #named(): { readonly name: string; readonly parameters: URLSearchParams } {
    const [name, parameters] = location.hash.slice(1).split("?");
    return {
      name: this.#names.includes(name) ? name : this.#names[0],
      parameters: new URLSearchParams(parameters ?? ""),
    };
  }

  #follow(): void {
    const { name, parameters } = this.#named();
    for (const other of this.#names) {
      const isShown = other === name, tab = this.#tab(other);
      tab.setAttribute("aria-selected", String(isShown));
      tab.tabIndex = isShown ? 0 : -1;
      byId(`panel-${other}`, HTMLElement).hidden = !isShown;
    }
    this.#shown[name]?.(parameters);
  }
}

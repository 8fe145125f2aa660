/** Tabs: one panel at a time, chosen by mouse, arrow keys or the address. */
import { byId } from "./dom.ts";

/** The code of a tab. */
export interface TabModule {
  /** Called with the parameters of the address whenever the panel is shown. */
  readonly show?: (parameters: URLSearchParams) => void;
}

/** The tabs of the page. The address names the one that is shown, such as `#train`. */
export class Tabs {
  readonly #names: readonly string[];
  readonly #load: Readonly<Record<string, () => Promise<TabModule>>>;

  /**
   * Shows what the address names, or the first.
   * @param load The code of each tab; a tab `tab-NAME` controls a panel `panel-NAME`.
   */
  constructor(load: Readonly<Record<string, () => Promise<TabModule>>>) {
    this.#load = load;
    this.#names = Object.keys(load);
    for (const [at, name] of this.#names.entries()) {
      const tab = this.#tab(name);
      tab.addEventListener("click", () => this.#go(name));
      tab.addEventListener("keydown", (event) => this.#move(event, at));
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
    const panel = byId(`panel-${name}`, HTMLElement);
    panel.ariaBusy ??= "true";
    this.#load[name]().then(({ show }) => {
      panel.ariaBusy = "false";
      show?.(parameters);
    }).catch((error: Error) => this.#fail(`Cannot show this part of the page: ${error.message}; reload the page`));
  }

  #fail(message: string): void {
    const box = byId("page-error", HTMLElement);
    box.hidden = false;
    box.textContent = message;
  }
}

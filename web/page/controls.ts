/**
 * Buttons and the file field: on or off, and never without the focus that they had, as elements with `disabled` would
 * be.
 */
import { byId } from "./dom.ts";

/** What can be used. */
export type ControlName = "start" | "stop" | "continue" | "save" | "load" | "restore" | "write" | "read";

/** Turns controls on and off for everybody: by `aria-disabled`, and by taking the clicks of those that are off. */
export class Controls {
  /** @param names Ids of elements. */
  constructor(names: readonly ControlName[]) {
    for (const name of names) {
      byId(name, HTMLElement).addEventListener("click", (event) => {
        if (this.isEnabled(name)) return;
        event.preventDefault();
        event.stopImmediatePropagation();
      }, { capture: true });
    }
  }

  /** Turns some on (true) and others off. */
  enable(controls: { readonly [Name in ControlName]?: boolean }): void {
    for (const [name, isEnabled] of Object.entries(controls)) {
      byId(name, HTMLElement).setAttribute("aria-disabled", String(!isEnabled));
    }
  }

  /** Whether one is on. */
  isEnabled(name: ControlName): boolean {
    return byId(name, HTMLElement).getAttribute("aria-disabled") !== "true";
  }
}

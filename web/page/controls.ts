/**
 * Buttons and the file field: enabled or disabled without losing the focus, which elements with `disabled` would.
 */
import { byId } from "./dom.ts";

/** Ids of the controls. */
export type ControlName =
  | "start"
  | "stop"
  | "continue"
  | "save"
  | "load"
  | "restore"
  | "write"
  | "read"
  | "compare-start"
  | "compare-stop";

/** Enables and disables controls accessibly: with `aria-disabled`, and by ignoring clicks on disabled ones. */
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

  /** Enables (true) or disables controls. */
  enable(controls: { readonly [Name in ControlName]?: boolean }): void {
    for (const [name, isEnabled] of Object.entries(controls)) {
      byId(name, HTMLElement).setAttribute("aria-disabled", String(!isEnabled));
    }
  }

  /** Whether a control is enabled. */
  isEnabled(name: ControlName): boolean {
    return byId(name, HTMLElement).getAttribute("aria-disabled") !== "true";
  }
}

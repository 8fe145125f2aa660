/** A text whose characters are coloured by numbers. */
import { type Character, charactersOf } from "./characters.ts";

/** Colours of a strip: values above zero are warm; with `both`, those below are warm and those above cool. */
export interface Colouring {
  /** One value per byte; values that are not finite have no colour. */
  readonly values: ArrayLike<number>;
  /** The value of the full colour. */
  readonly top: number;
  /** Whether values have two directions. */
  readonly both: boolean;
}

interface Shown extends Character {
  readonly span: HTMLSpanElement;
}

/** The text in an element. */
export class Strip {
  #element: HTMLElement;
  #characters: Shown[] = [];

  /** @param chosen Called with the position of a byte that was clicked. */
  constructor(element: HTMLElement, chosen: (position: number) => void) {
    this.#element = element;
    element.addEventListener("click", (event) => {
      const character = this.#characters.find(({ span }) => span === event.target);
      if (character) chosen(character.start);
    });
  }

  /** Shows a text. */
  show(text: string): void {
    this.#characters = charactersOf(text).map((character) => {
      const span = document.createElement("span");
      span.textContent = character.text === "\n" ? "↵\n" : character.text;
      return { ...character, span };
    });
    this.#element.replaceChildren(...this.#characters.map(({ span }) => span));
  }

  /** Colours each character by the mean of its bytes. */
  colour({ values, top, both }: Colouring): void {
    for (const { span, start, end } of this.#characters) {
      const value = mean(values, start, end),
        strength = Number.isFinite(value) ? Math.min(1, Math.abs(value) / (top || 1)) : 0;
      span.className = `${both && value > 0 ? "cool" : "warm"}${span.classList.contains("chosen") ? " chosen" : ""}`;
      span.style.setProperty("--strength", strength.toFixed(3));
    }
  }

  /** Shows which byte is chosen. */
  choose(position: number): void {
    for (const { span, start, end } of this.#characters) {
      span.classList.toggle("chosen", start <= position && position < end);
    }
  }

  /** The characters around a byte, on one line. */
  around(position: number, before = 12, after = 6): string {
    const near = this.#characters.filter(({ start }) => start > position - before && start <= position + after);
    return near.map(({ text }) => text).join("").replaceAll("\n", " ");
  }

  /** The characters between two bytes, on one line. */
  between(from: number, to: number): string {
    return this.#characters.filter(({ start }) => start >= from && start < to).map(({ text }) => text).join("")
      .replaceAll("\n", " ");
  }
}

function mean(values: ArrayLike<number>, start: number, end: number): number {
  let total = 0;
  for (let i = start; i < end; i++) total += values[i];
  return total / (end - start);
}

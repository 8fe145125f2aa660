/** A text with coloured rows below each of its characters: time runs along the text, in all rows. */
import type { Character } from "../characters.ts";

/** Longer words are broken, so that they fit a narrow screen. */
const LONGEST_WORD = 16;

/** What a row shows. */
export interface RibbonRow {
  /** A colour of the style sheet, such as `--series-1`. */
  readonly colour: string;
  /** How strong the colour is below each character, from 0 to 1; NaN for none. */
  readonly strengths: ArrayLike<number>;
}

/** The text in an element. */
export class Ribbon {
  readonly #element: HTMLElement;
  #spans: HTMLSpanElement[] = [];
  #chosen?: HTMLSpanElement;

  /** @param chosen Called with the number of a character that is pointed at. */
  constructor(element: HTMLElement, chosen: (at: number) => void) {
    this.#element = element;
    for (const type of ["pointerover", "click"]) {
      element.addEventListener(type, ({ target }) => {
        const at = target instanceof HTMLSpanElement ? target.dataset.at : undefined;
        if (at !== undefined) chosen(Number(at));
      });
    }
  }

  /** Shows a text, without rows. */
  show(characters: readonly Character[]): void {
    this.#spans = characters.map(({ text }, at) => {
      const span = document.createElement("span");
      span.textContent = text === "\n" ? "↵" : text;
      span.dataset.at = String(at);
      return span;
    });
    const words: HTMLElement[] = [];
    let word = this.#word(words);
    for (const [at, span] of this.#spans.entries()) {
      word.append(span);
      if (/\s/.test(characters[at].text) || word.childElementCount === LONGEST_WORD) word = this.#word(words);
      if (characters[at].text === "\n") words.splice(-1, 0, document.createElement("br"));
    }
    this.#element.replaceChildren(...words);
  }

  /** Colours the rows. */
  colour(rows: readonly RibbonRow[]): void {
    this.#element.style.setProperty("--rows", String(rows.length));
    rows.forEach(({ colour }, i) => this.#element.style.setProperty(`--colour-${i}`, `var(${colour})`));
    this.#spans.forEach((span, at) =>
      rows.forEach(({ strengths }, i) => span.style.setProperty(`--row-${i}`, (strengths[at] || 0).toFixed(3)))
    );
  }

  /** Shows which character is chosen, in all rows. */
  choose(at: number): void {
    this.#chosen?.classList.remove("chosen");
    this.#chosen = this.#spans[at];
    this.#chosen?.classList.add("chosen");
  }

  #word(words: HTMLElement[]): HTMLElement {
    const word = document.createElement("span");
    word.className = "word";
    words.push(word);
    return word;
  }
}

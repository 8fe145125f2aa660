/** A memory that is forked: two texts go on from one place, each with a copy of its own, and both are asked. */
import { byId } from "../dom.ts";
import { MatrixView } from "../matrix.ts";
import { likeliest, percent } from "./answer_bars.ts";
import type { Branch } from "./protocol.ts";
import type { Reading } from "./reading.ts";

const NAMES = ["one", "other"] as const;

const element = (id: string): HTMLElement => byId(`fork-${id}`, HTMLElement);

/** The form below the reading, and what its branches answer. */
export class ForkView {
  readonly #matrices = NAMES.map((name) => new MatrixView(byId(`fork-matrix-${name}`, HTMLCanvasElement)));
  #at = 0;

  /** @param fork Called with the place and the texts that go on from there. */
  constructor(fork: (at: number, texts: readonly string[]) => void) {
    byId("fork-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      element("status").textContent = "Reading both.";
      fork(this.#at, NAMES.map((name) => byId(`fork-text-${name}`, HTMLInputElement).value));
    });
  }

  /** A new story begins: the other branch is told something else, and what was answered before is gone. */
  begin({ story: { question, answer } }: Reading): void {
    const other = answer === "Z" ? "A" : "Z";
    byId("fork-text-other", HTMLInputElement).value = `${question}${other}. `.repeat(3);
    byId("fork-branches", HTMLElement).hidden = true;
    element("status").textContent = "";
  }

  /** Follows the position: the fork is made there. */
  move(at: number): void {
    this.#at = at;
    element("submit").textContent = `Fork after byte ${at}`;
  }

  /** Shows what both branches came to. */
  show({ story, side, largest }: Reading, from: Float32Array, branches: readonly Branch[]): void {
    byId("fork-branches", HTMLElement).hidden = false;
    const change = Math.max(...branches.map(({ memory }) => distance(memory, from))) / side * 4 || 1;
    const said = branches.map(({ memory, answer }, i) => {
      this.#matrices[i].draw(memory, from, { side, weight: largest, change });
      const [guess] = likeliest(answer, 1), share = percent(answer[story.answer.charCodeAt(0)]);
      const guesses = likeliest(answer).map(({ character, share }) => `${character} ${percent(share)}`).join(", ");
      element(`answer-${NAMES[i]}`).textContent = `Asked “${story.question.trim()}”: ${guesses}`;
      return `${guess.character} (${share} on ${story.answer})`;
    });
    element("status").textContent = `From one memory, the one answers ${said[0]}, the other ${said[1]}.`;
  }
}

/** How far two matrices are apart. */
function distance(a: Float32Array, b: Float32Array): number {
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0));
}

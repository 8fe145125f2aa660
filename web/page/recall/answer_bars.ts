/** Two answers side by side: with the memory, and with one that has read nothing. */
import { byId } from "../dom.ts";
import { likeliestBytes } from "../probabilities.ts";
import type { Distribution } from "./protocol.ts";

/** Characters that are named beside a bar. */
const NAMED = 3;

/** A probability as people write it. */
export function percent(share: number): string {
  return share > 0 && share < 0.01 ? "under 1%" : `${Math.round(100 * share)}%`;
}

/** The likeliest characters, from first to last. */
export function likeliest(
  answer: Distribution,
  count: number = NAMED,
): { readonly character: string; readonly share: number }[] {
  return likeliestBytes(answer, count)
    .map((byte) => ({ character: byte === 32 ? "space" : String.fromCharCode(byte), share: answer[byte] }));
}

/** A bar for each of the two. */
export class AnswerBars {
  /** Shows how likely the right answer is. */
  show(right: string, answers: { readonly with?: Distribution; readonly without?: Distribution }): void {
    for (const name of ["with", "without"] as const) {
      const answer = answers[name], share = answer?.[right.charCodeAt(0)] ?? 0;
      const bar = byId(`answer-${name}`, HTMLElement);
      bar.style.setProperty("--share", String(share));
      bar.textContent = answer ? `${right} ${percent(share)}` : "–";
      const guesses = answer ? likeliest(answer).map(({ character, share }) => `${character} ${percent(share)}`) : [];
      byId(`guesses-${name}`, HTMLElement).textContent = guesses.length > 0 ? `likeliest: ${guesses.join(", ")}` : "";
    }
  }
}

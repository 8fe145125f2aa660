/** How long a training takes yet. */
import { formatDuration } from "../progress.ts";

/** The time that is left, by the steps of this process. @param from The step at which it begins. */
export function timeLeft(from = 0): (done: number, most: number) => string {
  const began = performance.now();
  return (done, most) => formatDuration((performance.now() - began) / 1000 * (most - done) / Math.max(1, done - from));
}

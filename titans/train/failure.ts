/** Error messages for failed training steps. */
import type { Network } from "../models/network.ts";
import { causeBeforeUpdates } from "./diagnose.ts";
import { LARGEST } from "./update.ts";

/** What is wrong with the figures of a step; undefined if nothing is. */
export function faultOf(loss: number, gradientNorm: number): string | undefined {
  const fits = (value: number): boolean => Math.abs(value) <= LARGEST; // NaN fits nowhere
  return fits(loss) ? fits(gradientNorm) ? undefined : `gradient norm became ${gradientNorm}` : `loss became ${loss}`;
}

/** The text of the error, one line. */
export function failureText(
  { step, what, tensor, model }: {
    readonly step: number;
    /** As {@link faultOf} says it. */
    readonly what: string;
    /** The first tensor that is not finite, where it was found. */
    readonly tensor?: string;
    readonly model: Network;
  },
): string {
  const found = tensor === undefined ? "" : ` (first bad tensor: ${tensor})`;
  const remedy = step === 0
    ? causeBeforeUpdates(model, tensor)
    : "resume from it with a lower learning rate, a smaller thetaMax, or a lower alphaBias";
  return `Training stopped at step ${step}: the ${what}${found}; the state of step ${step} before the update is kept, ${remedy}`;
}

/** Finds NaN and infinity before a state is saved. */
import type { TrainingState } from "../titans/mod.ts";

/** Whether all numbers of an array are finite. */
export function allFinite(data: ArrayLike<number>): boolean {
  // Zero times a finite number is zero, otherwise NaN; a sum needs no branch per element.
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += data[i] * 0;
  return sum === 0;
}

/**
 * The first array of a state, or of its parameters alone, that holds NaN or infinity, as its checkpoint names it;
 * undefined if there is none.
 */
export function firstNotFinite(
  { params, optimizer, carried = {} }: Pick<TrainingState, "params"> & Partial<TrainingState>,
): string | undefined {
  const slots = Object.entries(optimizer?.slots ?? {}).map(([slot, arrays]) => [`optimizer.${slot}.`, arrays] as const);
  const groups = [["", params] as const, ...slots];
  for (const [prefix, arrays] of groups) {
    for (const [name, data] of Object.entries(arrays)) if (!allFinite(data)) return prefix + name;
  }
  return Object.entries(carried).filter(([, { data }]) => !allFinite(data as Float32Array)).map(([name]) =>
    `stream.${name}`
  )[0];
}

/**
 * Primitives that exist only for gradients: each passes some of its inputs through unchanged, and its vjp defines where
 * their cotangents go. `simplify` replaces the outputs by the inputs, so kernels contain no trace of them.
 */
import type { AliasOp, Attrs, Vjp } from "./op.ts";

/**
 * Makes such a primitive.
 * @param name Its name in printed graphs and error messages.
 * @param aliased Which inputs are the outputs: from `start` up to, but not including, `end`.
 * @param vjp Builds the cotangents of all inputs.
 */
export function aliasOp(
  name: string,
  aliased: { readonly start: number; readonly end: number },
  vjp: Vjp<Attrs>,
): AliasOp<Attrs> {
  const taken = <T>(inputs: readonly T[]): readonly T[] => inputs.slice(aliased.start, aliased.end);
  return {
    name,
    kind: "alias",
    infer: (inputs) => taken(inputs).map(({ shape, dtype }) => ({ shape, dtype })),
    reference: (inputs) => taken(inputs).map(({ data }) => data),
    aliased: taken,
    vjp,
  };
}

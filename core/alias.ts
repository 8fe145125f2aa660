/**
 * Primitives that only gradients see: each gives some of its inputs on as they are, and its vjp says where their
 * cotangents go. `simplify` puts the inputs in the place of the outputs, so nothing is left of them in a kernel.
 */
import type { AliasOp, Attrs, Vjp } from "./op.ts";

/**
 * Makes such a primitive.
 * @param name How prints and errors call it.
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

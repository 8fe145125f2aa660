/**
 * From a kernel to WGSL. Printing is a pure function: equal kernels, whatever their variables' identities, give equal text, so that
 * shaders can be shared.
 *
 * Group 0 holds the operands, binding i being operand i; all are `read_write`, because one buffer bound both read-only
 * and writable in a dispatch is refused even for disjoint ranges. On targets with `texels`, operands that are read
 * often are textures, behind the buffers. Group 1 binding 0, bound only where `usesLoops`, is a uniform
 * `struct Loops { index: vec4<u32>, nan_bits: u32, infinity_bits: u32 }`: indices of the enclosing loops, outermost
 * first, and the bits of NaN and infinity, which WGSL has no constants for.
 */
import type { Kernel } from "../../kernel.ts";
import type { Layout, PrintTarget, WgslKernel } from "./print_writer.ts";
import { Writer } from "./print_writer.ts";
import type { PrinterParts } from "./parts.ts";

export type { Binding, PrintTarget, WgslKernel } from "./print_writer.ts";

/**
 * Prints a kernel.
 * @throws {CompileError} if there are more than four nested loops around it.
 * @throws {DeviceError} if it needs more workgroups than the target can launch.
 */
export type Printer = (kernel: Kernel, target: PrintTarget) => WgslKernel;

/** A printer of kernels that need no other parts than these. */
export function printerWith(parts: PrinterParts): Printer {
  return (kernel, target) => printKernel(kernel, target, parts);
}

function printKernel(
  kernel: Kernel,
  target: PrintTarget,
  { kinds, helpers, chooseTexelReads }: PrinterParts,
): WgslKernel {
  const print = kinds[kernel.kind] as (kernel: Kernel, writer: Writer) => WgslKernel;
  // How an operand is best declared depends on all accesses, which are only known after printing: print twice.
  const wishes = kernel.operands.map(({ size }): Layout => (size % 4 === 0 ? "vector" : "scalar"));
  const draft = new Writer(kernel, target, wishes, { helpers });
  const printed = print(kernel, draft);
  const layouts = draft.accesses.map(({ vectorAccesses, scalarStores }, operand): Layout => (
    // Storing one component of a vec4 may overwrite its neighbours, which other invocations may be writing.
    wishes[operand] === "vector" && vectorAccesses > 0 && scalarStores === 0 ? "vector" : "scalar"
  ));
  const loads = draft.accesses.map(({ vectorLoads, elements }) => ({
    vectorLoads,
    elements: elements * draft.invocations,
  }));
  const texels = target.texels ? chooseTexelReads!(kernel, loads, target.texels === "always") : [];
  if (!texels.some((read) => read) && layouts.every((layout, operand) => layout === wishes[operand])) return printed;
  return print(kernel, new Writer(kernel, target, layouts, { helpers, texels }));
}

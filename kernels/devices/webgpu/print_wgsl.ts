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
import { printContract } from "./print_contract.ts";
import { printMap } from "./print_map.ts";
import { printRecurrence } from "./print_recurrence.ts";
import { printRow } from "./print_row.ts";
import { printScatter } from "./print_scatter.ts";
import { chooseTexelReads } from "./print_texels.ts";
import { Writer } from "./print_writer.ts";
import type { Layout, PrintTarget, WgslKernel } from "./print_writer.ts";

export type { Binding, PrintTarget, WgslKernel } from "./print_writer.ts";

/** Prints the kernels of one kind. */
type PrintKind<K extends Kernel["kind"]> = (kernel: Extract<Kernel, { kind: K }>, writer: Writer) => WgslKernel;

type PrintersByKind = { readonly [K in Kernel["kind"]]: PrintKind<K> };

/** What prints each kind. */
const PRINTERS: { readonly [K in Kernel["kind"]]: () => PrintKind<K> | Promise<PrintKind<K>> } = {
  map: () => printMap,
  row: () => printRow,
  contract: () => printContract,
  recurrence: () => printRecurrence,
  scatter: () => printScatter,
};

/**
 * Prints a kernel.
 * @throws {CompileError} if there are more than four nested loops around it.
 * @throws {DeviceError} if it needs more workgroups than the target can launch.
 */
export type Printer = (kernel: Kernel, target: PrintTarget) => WgslKernel;

/** A printer of kernels of some kinds. */
export async function loadPrinter(kinds: Iterable<Kernel["kind"]>): Promise<Printer> {
  const loaded = await Promise.all([...new Set(kinds)].map(async (kind) => [kind, await PRINTERS[kind]()]));
  const printers: PrintersByKind = Object.fromEntries(loaded);
  return (kernel, target) => printKernel(kernel, target, printers);
}

function printKernel(kernel: Kernel, target: PrintTarget, printers: PrintersByKind): WgslKernel {
  const print = printers[kernel.kind] as PrintKind<Kernel["kind"]>;
  // How an operand is best declared depends on all accesses, which are only known after printing: print twice.
  const wishes = kernel.operands.map(({ size }): Layout => (size % 4 === 0 ? "vector" : "scalar"));
  const draft = new Writer(kernel, target, wishes);
  const printed = print(kernel, draft);
  const layouts = draft.accesses.map(({ vectorAccesses, scalarStores }, operand): Layout => (
    // Storing one component of a vec4 may overwrite its neighbours, which other invocations may be writing.
    wishes[operand] === "vector" && vectorAccesses > 0 && scalarStores === 0 ? "vector" : "scalar"
  ));
  const loads = draft.accesses.map(({ vectorLoads, elements }) => ({
    vectorLoads,
    elements: elements * draft.invocations,
  }));
  const texels = target.texels ? chooseTexelReads(kernel, loads, target.texels === "always") : [];
  if (!texels.some((read) => read) && layouts.every((layout, operand) => layout === wishes[operand])) return printed;
  return print(kernel, new Writer(kernel, target, layouts, texels));
}

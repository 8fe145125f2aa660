/**
 * Prints contract kernels. An invocation keeps a tile of outputs in registers and walks k, loading vec4s of both operands along whichever axis is
 * contiguous; on GPUs larger shapes go through workgroup memory (print_contract_tiled.ts).
 *
 * No load is guarded: rows and columns beyond the edge read whatever is there (reads are bounded by the device), only reach their own outputs, and
 * are not stored.
 */
import type { ContractKernel } from "../kernel.ts";
import { chooseTile } from "./contract_tile.ts";
import { printTiled } from "./print_contract_tiled.ts";
import { printRegisters } from "./print_contract_registers.ts";
import type { WgslKernel, Writer } from "./print_writer.ts";

/** Prints a contract kernel. */
export function printContract(kernel: ContractKernel, writer: Writer): WgslKernel {
  const tile = chooseTile(kernel, writer.target);
  return tile.workgroup ? printTiled(kernel, writer, tile.workgroup) : printRegisters(kernel, writer, tile);
}

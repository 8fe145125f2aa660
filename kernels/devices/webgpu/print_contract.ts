/**
 * Prints contract kernels. An invocation keeps a tile of outputs in registers and walks k, loading vec4s of both
 * operands along whichever axis is contiguous; on GPUs larger shapes go through workgroup memory
 * (print_contract_workgroup.ts).
 *
 * No load is guarded: rows and columns beyond the edge read whatever is there (reads are bounded by the device), only
 * reach their own outputs, and are not stored.
 */
import type { ContractKernel } from "../../kernel.ts";
import { chooseGpuTile, chooseSoftwareTile, chooseWorkgroupTile } from "./contract_tile.ts";
import { printRegisters } from "./print_contract_registers.ts";
import { printWorkgroupTiles } from "./print_contract_workgroup.ts";
import type { WgslKernel, Writer } from "./print_writer.ts";

/** Prints a contract kernel. */
export function printContract(kernel: ContractKernel, writer: Writer): WgslKernel {
  if (writer.target.style === "software") {
    return printRegisters(kernel, writer, chooseSoftwareTile(kernel, writer.target));
  }
  const tile = chooseWorkgroupTile(kernel, writer.target);
  return tile ? printWorkgroupTiles(kernel, writer, tile) : printRegisters(kernel, writer, chooseGpuTile(kernel));
}

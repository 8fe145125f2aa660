/**
 * Prints contract kernels. Each invocation keeps a tile of outputs in registers and iterates over k, loading vec4s of
 * both operands along whichever axis is contiguous. On GPUs, larger shapes go through workgroup memory
 * (print_contract_workgroup.ts).
 *
 * Loads are not guarded: rows and columns beyond the edge read arbitrary data (the device keeps reads in bounds), only
 * affect their own outputs, and are not stored.
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

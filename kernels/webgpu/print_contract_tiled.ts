import type { ContractKernel } from "../kernel.ts";
import type { WorkgroupTile } from "./contract_tile.ts";
import type { WgslKernel, Writer } from "./print_writer.ts";
export function printTiled(_k: ContractKernel, _w: Writer, _t: WorkgroupTile): WgslKernel { throw new Error("x"); }

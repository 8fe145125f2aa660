/** The printer of WGSL with all of its parts, for tests that print kernels of their own. */
import { PARTS } from "../../kernels/devices/webgpu/all_kinds.ts";
import { type Printer, printerWith } from "../../kernels/devices/webgpu/print_wgsl.ts";
import { chooseTexelReads } from "../../kernels/devices/webgpu/texels.ts";

/** Prints a kernel; see {@link Printer}. */
export const printWgsl: Printer = printerWith({ ...PARTS, chooseTexelReads });

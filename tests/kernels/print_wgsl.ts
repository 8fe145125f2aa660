/** The printer of WGSL with all kinds of kernels, for tests that print their own. */
import { loadPrinter, type Printer } from "../../kernels/devices/webgpu/print_wgsl.ts";

/** Prints a kernel; see {@link Printer}. */
export const printWgsl: Printer = await loadPrinter(["map", "row", "contract", "recurrence", "scatter"]);

/**
 * Prints the table of greatest errors of docs/numerics.md, measured here: deno run --allow-env=NODEVICE_SELECT
 * tests/numerics/measure_errors.ts
 */
import { requestCpuDevice } from "../../kernels/mod.ts";
import { requestDevice } from "../../mod.ts";
import { MEASURED, measureErrors } from "./errors.ts";

const devices = [
  await requestDevice({ kind: "cpu" }),
  await requestCpuDevice({ relaxed: false }),
  await requestDevice({ kind: "webgpu" }),
];
const columns: number[][] = [];
for (const device of devices) {
  columns.push(await measureErrors(device, 2_000_000));
  device.dispose();
}
console.log("| op | arguments | cpu | cpu, no fused multiply-add | webgpu |\n| --- | --- | ---: | ---: | ---: |");
MEASURED.forEach(({ name, range }, at) =>
  console.log(`| \`${name}\` | ${range} | ${columns.map((column) => column[at].toFixed(1)).join(" | ")} |`)
);

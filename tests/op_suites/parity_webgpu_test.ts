import { requestWebGpuDevice } from "../../kernels/mod.ts";
import { printWgsl } from "../kernels/print_wgsl.ts";
import { requestDevice } from "../../mod.ts";
import { OP_CASES } from "../op_cases.ts";
import { checkParity } from "./parity.ts";

Deno.test("op table: webgpu computes what the interpreter computes", async () => {
  const device = await requestDevice({ kind: "webgpu" });
  try {
    const { cases, results } = await checkParity(device, OP_CASES);
    console.log(
      `op table, parity of ${device.info.kind} (${device.info.description}): ${cases} cases, ${results} results`,
    );
  } finally {
    device.dispose();
  }
});

Deno.test("op table: webgpu computes the same where kernels read through textures", async () => {
  const device = await requestWebGpuDevice({
    printer: (kernel, target) => printWgsl(kernel, { ...target, style: "software", texels: "always" }),
  });
  try {
    const { cases, results } = await checkParity(device, OP_CASES);
    console.log(`op table, parity of webgpu through textures: ${cases} cases, ${results} results`);
  } finally {
    device.dispose();
  }
});

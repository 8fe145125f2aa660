import { requestCpuDevice } from "../../kernels/devices/wasm/device.ts";
import { OP_CASES } from "../op_cases.ts";
import { checkParity } from "./parity.ts";

Deno.test("op table: cpu computes what the interpreter computes", async () => {
  const device = await requestCpuDevice({ poison: true, threads: 2, minParallel: 0 });
  try {
    const { cases, results } = await checkParity(device, OP_CASES);
    console.log(
      `op table, parity of ${device.info.kind} (${device.info.description}): ${cases} cases, ${results} results`,
    );
  } finally {
    device.dispose();
  }
});

import { requestDevice } from "../../mod.ts";
import { OP_CASES } from "../op_cases.ts";
import { checkParity } from "./parity.ts";

Deno.test("op table: the reference device computes what the interpreter computes", async () => {
  const device = await requestDevice({ kind: "reference" });
  try {
    const { cases, results } = await checkParity(device, OP_CASES);
    console.log(`op table, parity of ${device.info.kind}: ${cases} cases, ${results} results`);
  } finally {
    device.dispose();
  }
});

/** The table of operations on a device whose bindings are so short that most tensors lie in several. */
import { UNLIMITED } from "../../kernels/limits.ts";
import { assert } from "@std/assert";
import { planProgram } from "../../kernels/plan_program.ts";
import { OP_CASES } from "../op_cases.ts";
import { bindAtMost, countPieces, openFinely } from "../kernels/short_bindings.ts";
import { checkParity, programOf, specsOf } from "./parity.ts";

Deno.test("op table: webgpu computes the same in pieces of bindings", async () => {
  const counts = { kernels: 0, inPieces: 0 };
  using device = await openFinely({ poison: true, printer: countPieces(counts) });
  const pieces = device.limits.maxOperands >= 24 ? 3 : 2;
  let results = 0;
  for (const opCase of OP_CASES) {
    const { values } = planProgram({ ...device.limits, ...UNLIMITED }, programOf(opCase), specsOf(opCase));
    bindAtMost(device, Math.max(...values.map(({ sizeBytes }) => sizeBytes)) / pieces);
    results += (await checkParity(device, [opCase])).results;
  }
  console.log(`op table in pieces: ${results} results, ${counts.inPieces} of ${counts.kernels} kernels have pieces`);
  assert(counts.inPieces > counts.kernels / 3);
});

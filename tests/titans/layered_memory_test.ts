/** Gates for each matrix of the memory's network: what is not in the tables of memory_test.ts. */
import { assert, assertThrows } from "@std/assert";
import { ConfigError } from "../../titans/errors.ts";
import { type MemoryNetwork, mlpMemory, swigluMemory } from "../../titans/mixers/titans/memory_network.ts";
import { naiveMemory } from "../../titans/mixers/titans/naive.ts";
import { evaluateMemory, type MemoryInputs, memoryInputs, products, runMemory } from "./builders.ts";
import { assertClose, leavesOf, norm, reference, type Value } from "./runners.ts";

const mlp: MemoryNetwork = mlpMemory({ width: 4, depth: 2, expansion: 2 });

for (const granularity of ["layer", "channel"] as const) {
  Deno.test(`reference: gates a ${granularity}, swiglu: the matmul-only form equals the token loop, gradients too`, async () => {
    const network = swigluMemory({ width: 4, expansion: 1.5 });
    for (const forgetTo of ["start", "zero"] as const) {
      const inputs = memoryInputs(network, { T: 11, granularity, forgetTo });
      const expected = await evaluateMemory(reference, runMemory(naiveMemory, network, { miniBatch: 4 }), inputs);
      for (const [leaf, values] of Object.entries(leavesOf(expected))) assert(norm(values) > 1e-9, `${leaf} is zero`);
      assertClose(
        await evaluateMemory(reference, runMemory(products, network, { miniBatch: 4 }), inputs),
        expected,
        1e-10,
      );
    }
  });
}

Deno.test("gates a layer that are equal give what gates a head give", async () => {
  for (const forgetTo of ["start", "zero"] as const) {
    const coarse = memoryInputs(mlp, { T: 11, forgetTo }), [gates] = coarse.sequence.gates;
    const fine = { ...coarse, sequence: { ...coarse.sequence, gates: [gates, gates] } };
    const run = (inputs: MemoryInputs<Value>) => reference(runMemory(products, mlp, { miniBatch: 4 }), [inputs]);
    assertClose(await run(fine), await run(coarse), 1e-10);
  }
});

Deno.test("gates that do not belong to the network are refused", () => {
  const inputs = memoryInputs(mlp, { T: 3, granularity: "channel" });
  const attempt = (gates: MemoryInputs<Value>["sequence"]["gates"], tile?: number): Promise<unknown> =>
    evaluateMemory(reference, runMemory(products, mlp, { miniBatch: 4, tile }), {
      ...inputs,
      sequence: { ...inputs.sequence, gates },
    });
  const [first, second] = inputs.sequence.gates;
  assertThrows(() => attempt([first]), ConfigError, "2 matrices with gates for 1");
  assertThrows(() => attempt([second, first]), ConfigError, "Cannot forget 4 columns of matrix 0: it has 8");
  assertThrows(() => attempt([first, second], 3), ConfigError, "tiles of 3 tokens");
});

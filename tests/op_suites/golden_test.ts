import { assertGreater } from "@std/assert";
import type { Kernel } from "../../kernels/kernel.ts";
import type { Step } from "../../kernels/plan.ts";
import { schedule } from "../../kernels/schedule.ts";
import type { PrintTarget } from "../../kernels/devices/webgpu/print_wgsl.ts";
import { printWgsl } from "../kernels/print_wgsl.ts";
import { OP_CASES, type OpCase } from "../op_cases.ts";
import { graphsOf } from "./evaluate.ts";

/** Targets as plain data, so that the texts are the same on every machine. */
const TARGETS: readonly PrintTarget[] = ([["software"], ["software", "always"], ["gpu"]] as const).map((
  [style, texels],
) => ({
  style,
  texels,
  maxWorkgroupsPerDimension: 65535,
  maxInvocations: 256,
  maxWorkgroupBytes: 16384,
}));

function kernelsOf(steps: readonly Step[]): Kernel[] {
  return steps.flatMap((step) => (step.kind === "kernel" ? [step.kernel] : kernelsOf(step.steps)));
}

/** The distinct source texts of a case's program, as a device of a style gets them. */
function sourcesOf({ fn, inputs }: OpCase, target: PrintTarget): string[] {
  const { steps } = schedule(graphsOf(fn, inputs).simplified, { maxOperands: 8 });
  return [...new Set(kernelsOf(steps).map((kernel) => printWgsl(kernel, target).source))];
}

Deno.test("op table: source texts are the golden ones", async (t) => {
  const cases = OP_CASES.filter(({ golden }) => golden);
  let texts = 0;
  for (const opCase of cases) {
    const seen = new Set<string>();
    for (const target of TARGETS) {
      const sources = sourcesOf(opCase, target), text = sources.join("\n");
      if (seen.has(text)) continue;
      seen.add(text);
      texts += sources.length;
      await t.step(
        `${opCase.name}, ${target.style}${target.texels ? " with texels" : ""}`,
        async (t) => await t.assertSnapshot(text),
      );
    }
  }
  assertGreater(texts, 0);
  console.log(`op table, golden source texts: ${cases.length} cases, ${texts} texts`);
});

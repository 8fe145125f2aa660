/** A failing program as a script that runs by itself and shows what is wrong beside what is right. */
import * as ops from "../../ops/mod.ts";
import { describeWrong } from "./compare.ts";
import type { Failure } from "./failure.ts";
import { callOf } from "./ops/table.ts";
import { allSteps, type FuzzProgram } from "./program.ts";
import { indent, literal, nameOf, numberAttr, Printer } from "./text.ts";
import { fillValues } from "./values.ts";

/** The script of a failure. */
export function scriptOf(program: FuzzProgram, failure: Failure): string {
  const used = new Set(allSteps(program.steps).map(({ op }) => op));
  const fromOps = Object.keys(ops).filter((name) => used.has(name)).sort();
  const fromCore = ["checkpoint", "grad", "valueAndGrad", "vjp"].filter((name) => used.has(name));
  const printer = new Printer(callOf, { typed: true });
  const inputs = program.inputs.map((input) => {
    const values = [...fillValues(input.fill, input)].map((value) => literal(numberAttr(value))).join(", ");
    return `  { spec: spec(${literal(input.shape)}, "${input.dtype}"), values: [${values}] }, // ${nameOf(input.id)}`;
  });
  const where = failure.device ? ` on ${failure.device}` : "";
  const { wrong } = failure;
  return `// ${failure.stage}${where}: ${failure.message.split("\n")[0]}
// Seed ${program.seed}. deno run -A --config deno.json SCRIPT (with NODEVICE_SELECT=1 for webgpu)
import { ${[...fromCore, "compile", "requestDevice", "spec", "type Tensor"].sort().join(", ")} } from "@mneme/titans";
${fromOps.length > 0 ? `import { ${fromOps.join(", ")} } from "@mneme/titans/ops";\n` : ""}${
    used.has("customVjp") ? `import { byHand } from "${import.meta.resolve("./by_hand.ts")}";\n` : ""
  }
const program = (${printer.parameter(program.inputs)}): Tensor[] => {
${printer.body(program).map(indent).join("\n")}
};
const inputs = [
${inputs.join("\n")}
];
${
    wrong
      ? `// ${describeWrong(wrong)}\nconst wrong = { result: ${wrong.output}, element: ${wrong.element}, right: ${
        literal(numberAttr(wrong.expected))
      }, allowed: ${wrong.allowed} };\n`
      : ""
  }
for (const kind of ["reference", "cpu", "native", "webgpu"] as const) {
  try {
    const device = await requestDevice({ kind });
    const compiled = await compile(device, program, inputs.map(({ spec }) => spec)${
    program.donate.length > 0 ? `, { donate: [${program.donate.join(", ")}] }` : ""
  });
    const results = await compiled.run(...inputs.map(({ values }) => values));
    results.forEach(({ data }, i) => console.log(kind, \`result \${i}:\`, [...data].slice(0, 16).join(" ")));${
    wrong
      ? `
    const is = results[wrong.result].data[wrong.element];
    const isRight = Object.is(is, wrong.right) || Math.abs(is - wrong.right) <= wrong.allowed;
    console.log(kind, \`result \${wrong.result}, element \${wrong.element}: \${is}, right is \${wrong.right}: \${isRight ? "ok" : "WRONG"}\`);`
      : ""
  }
    device.dispose();
  } catch (error) {
    console.log(kind, error instanceof Error ? error.message : error);
  }
}
`;
}

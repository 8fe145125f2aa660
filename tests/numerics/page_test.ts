/** docs/numerics.md against the code: each op has a row, and functions are as exact as it says. */
import { assert, assertEquals } from "@std/assert";
import { requestCpuDevice } from "../../kernels/mod.ts";
import { requestDevice } from "../../mod.ts";
import * as ops from "../../ops/mod.ts";
import { PRIMITIVES } from "../../ops/registry.ts";
import { codeIn, tableRows } from "../markdown.ts";
import { MEASURED, measureErrors } from "./errors.ts";

const ROWS = tableRows(await Deno.readTextFile("docs/numerics.md"));

Deno.test("docs/numerics.md: every op has one row that says what it does with NaN, and no other names are there", () => {
  const named = ROWS.filter(({ heading }) =>
    ["Elementwise", "Reductions and operations built on them", "Data movement and constants"].includes(heading)
  )
    .flatMap(({ cells }) => codeIn(cells.op));
  const wanted = new Set([...PRIMITIVES.map(({ name }) => name), ...Object.keys(ops)]);
  assertEquals(named.toSorted(), [...wanted].sort());
});

Deno.test("docs/numerics.md: functions are as exact as the table says", async () => {
  const table = ROWS.filter(({ heading }) => heading === "Maximum errors");
  assertEquals(
    table.map(({ cells }) => [codeIn(cells.op)[0], cells.arguments]),
    MEASURED.map(({ name, range }) => [name, range]),
  );
  const devices = {
    "cpu": await requestDevice({ kind: "cpu" }),
    "cpu, no fused multiply-add": await requestCpuDevice({ relaxed: false }),
    "webgpu": await requestDevice({ kind: "webgpu" }),
  };
  for (const [column, device] of Object.entries(devices)) {
    // The table was made on one software adapter; another one has an exp of its own.
    if (column !== "webgpu" || /llvmpipe/i.test(device.info.description)) {
      const errors = await measureErrors(device, 40_000);
      table.forEach(({ cells }, at) =>
        assert(
          errors[at] <= Number(cells[column]) + 0.05,
          `${cells.op} on ${column} is off by ${errors[at]} ulp, the page says ${cells[column]}`,
        )
      );
    }
    device.dispose();
  }
});

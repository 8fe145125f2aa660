/** Kernels for machines of wider vectors, run on the host, against their meaning: printers know no width. */
import { assert, assertEquals } from "@std/assert";
import { columnsOf, panelsOf, rowStepOf, tilesFor } from "../../kernels/codegen/contract_blocks.ts";
import type { Target } from "../../kernels/codegen/target.ts";
import { runOnHost, TARGETS } from "./host_language.ts";
import { checkOperands, KERNEL_CASES } from "./kernel_cases.ts";
import { runReference } from "./print_harness.ts";

for (const [topic, cases] of Object.entries(KERNEL_CASES)) {
  Deno.test(`any width: ${topic}`, () => {
    for (const { label, kernel, data, allowance, loops } of cases()) {
      const wanted = runReference(kernel, data, loops);
      for (const target of TARGETS) {
        const found = runOnHost(kernel, data, { target, threads: 1, loops });
        checkOperands(`${label}, ${target.lanes} lanes`, found, wanted, allowance);
        const shared = runOnHost(kernel, data, { target, threads: 3, loops });
        shared.forEach((elements, at) =>
          assertEquals(elements, found[at], `${label}: three threads give what one gives`)
        );
      }
    }
  });
}

Deno.test("any width: panels cover columns, and blocks of rows are whole tiles", () => {
  for (const target of TARGETS) {
    const { lanes } = target;
    for (const tiles of target.tiles) {
      const step = rowStepOf(lanes, tiles);
      for (const tile of Object.values(tiles)) assertEquals([step % tile.rows, tile.columns % lanes], [0, 0]);
      for (let columns = 1; columns <= 200; columns++) {
        const covered = columnsOf(panelsOf(columns, tiles), tiles);
        assert(covered >= columns && covered < columns + tiles.narrow.columns, `${covered} columns for ${columns}`);
      }
    }
  }
});

Deno.test("any width: products take the tiles that cover their columns best", () => {
  const narrow = { rows: 12, columns: 16 };
  const target: Target = {
    lanes: 16,
    fused: true,
    gathers: true,
    tiles: [
      { wide: { rows: 6, columns: 64 }, narrow },
      { wide: { rows: 8, columns: 48 }, narrow },
      { wide: { rows: 12, columns: 32 }, narrow },
    ],
  };
  const wanted: Readonly<Record<number, number>> = {
    16: 64,
    32: 32,
    48: 48,
    64: 64,
    96: 48,
    128: 64,
    160: 32,
    192: 64,
  };
  for (const [columns, width] of Object.entries(wanted)) {
    assertEquals(tilesFor(Number(columns), target).wide.columns, width, `${columns} columns`);
  }
});

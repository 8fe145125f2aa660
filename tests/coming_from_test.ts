/** docs/coming_from.md against the exports: every name on it exists, and every operation and layer stands on it. */
import { assert, assertEquals } from "@std/assert";
import * as mneme from "@mneme/titans";
import * as nn from "@mneme/titans/nn";
import * as ops from "@mneme/titans/ops";
import * as titans from "@mneme/titans/titans";
import { codeIn, tableRows } from "./markdown.ts";

const ROWS = tableRows(await Deno.readTextFile("docs/coming_from.md"));

/** Whose names a section has; those without a line here are about operations. */
const ENTRIES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "Transformations and programs": { ...ops, ...mneme, Trainer: titans.Trainer },
  Layers: nn,
  Training: titans,
};

/** The names in a cell: what is called, but for `Uint32Array.of`, and what stands alone. */
function namesIn(cell: string): string[] {
  return codeIn(cell).filter((code) => !code.startsWith("{") && !code.includes("[t]")).flatMap((code) =>
    /^(?:nn\.)?\w+$/.test(code)
      ? [code.replace(/^nn\./, "")]
      : [...code.matchAll(/(\w+)\(/g)].map(([, name]) => name).filter((name) => name !== "of")
  );
}

Deno.test("coming from: every name of the last column is exported by the entry point of its section", () => {
  assert(ROWS.length > 90, `${ROWS.length} rows`);
  for (const { heading, cells } of ROWS) {
    const exported = ENTRIES[heading] ?? ops, names = namesIn(cells.Mneme);
    for (const name of names) assert(name in exported, `${name}, under ${heading}: ${cells.Mneme}`);
    assert(names.length > 0 || /\*\*missing\*\*|Uint32Array/.test(cells.Mneme), `${heading}: ${cells.Mneme}`);
  }
});

Deno.test("coming from: every operation, every layer and every transformation stands on the page", () => {
  const named = new Set(ROWS.flatMap(({ cells }) => namesIn(cells.Mneme)));
  const functionsOf = (entry: object) =>
    Object.entries(entry).filter(([, value]) => typeof value === "function").map(([name]) => name);
  const expected = [...functionsOf(ops), ...functionsOf(nn), ...functionsOf(mneme)];
  // Classes of results and of errors have no counterpart to look for.
  const classes = /^[A-Z]/;
  assertEquals(expected.filter((name) => !named.has(name) && !classes.test(name)), []);
});

Deno.test("coming from: what is marked as missing is not there under its own name", () => {
  for (const { heading, cells } of ROWS.filter(({ cells }) => cells.Mneme.startsWith("**missing**"))) {
    const exported = ENTRIES[heading] ?? ops;
    const foreign = Object.entries(cells).filter(([column]) => column !== "Mneme").flatMap(([, cell]) => codeIn(cell));
    const names = foreign.map((name) => name.split(".").at(-1)!.replace(/_(\w)/g, (_, letter) => letter.toUpperCase()));
    assertEquals(names.filter((name) => name in exported), [], heading);
  }
});

/** Runs the examples of examples/: scripts, and the cells of a notebook. Those for other runtimes run in tests/npm. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { withFolder } from "./cli/scratch.ts";

/** What a script prints while it is imported. */
async function printed(path: string): Promise<string> {
  const lines: string[] = [], { log } = console;
  console.log = (...values: unknown[]) => lines.push(values.join(" "));
  try {
    await import(path);
  } finally {
    console.log = log;
  }
  return lines.join("\n");
}

/** What each script prints in the end. */
const ENDS: Readonly<Record<string, RegExp>> = {
  "mlp_classifier.ts": /^step 0: loss 0\.[67]\d\d\n[\s\S]*\n(19\d|200) of 200 points are classified correctly$/,
  "gru.ts": /\n(99\.\d|100\.0)% are right in sequences of 48$/,
  "attention.ts": /\n {7}█\n {6}█ \n {5}█ {2}\n {4}█ {3}\n {3}█ {4}\n {2}█ {5}\n █ {6}\n█ {7}$/,
  "memory_network.ts": /^linear memory: 0\.\d\d bits per byte\ngated memory: 0\.\d\d bits per byte$/,
  "mixer.ts": /: 0\.\d\d bits per byte\nthe one before it make a pair\. $/,
  "fine_tune.ts":
    /^pre-trained: 0\.\d\d bits per byte\nfine-tuned: [01]\.\d\d, from scratch: [4-7]\.\d\d bits per byte$/,
};

for (const [name, end] of Object.entries(ENDS)) {
  Deno.test(`examples: ${name} learns what it says`, async () => {
    assertMatch(await printed(new URL(`../examples/${name}`, import.meta.url).href), end);
  });
}

interface Notebook {
  readonly cells: readonly { readonly cell_type: string; readonly source: readonly string[]; readonly outputs?: [] }[];
}

Deno.test("examples: the cells of the notebook run in order, and the last one draws", () =>
  withFolder(async (folder) => {
    const { cells }: Notebook = JSON.parse(await Deno.readTextFile("examples/surprise.ipynb"));
    const code = cells.filter(({ cell_type }) => cell_type === "code");
    for (const { outputs } of code) assertEquals(outputs, [], "notebooks are kept without outputs");
    // A kernel shows the value of a cell's last line.
    const source = code.map(({ source }) => source.join("")).join("\n").replace(
      /\n(.*);?$/,
      "\nexport const shown = $1",
    );
    const path = `${await Deno.realPath(folder)}/notebook.ts`;
    await Deno.writeTextFile(path, source);
    const { shown } = await import(`file://${path}`);
    const svg: string = shown[Symbol.for("Jupyter.display")]()["image/svg+xml"];
    const heights = [...svg.matchAll(/<rect .*?height="([\d.]+)"/g)].map(([, height]) => Number(height));
    const letters = [...svg.matchAll(/>(.|&amp;)<\/text>/g)].map(([, letter]) => letter).join("");
    assertEquals(letters, "The sun rises in the east. ".repeat(2));
    assertEquals(heights.length, letters.length);
    assert(heights.every((height) => height >= 0 && height <= 80), heights.join(" "));
    // The second reading surprises it less.
    const total = (from: number) =>
      heights.slice(from, from + letters.length / 2).reduce((sum, height) => sum + height);
    assert(total(letters.length / 2) < 0.9 * total(0), `${total(letters.length / 2)} after ${total(0)}`);
  }));

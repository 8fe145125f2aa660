/** `import`: a memory of titans-pytorch becomes a file of our own, and what cannot be is refused in one line. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { decodeNeuralMemory } from "../../titans/mod.ts";
import { runMain } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const FILE = "tests/fixtures/titans_pytorch/heads.safetensors";

Deno.test("import: a memory is written with the names of the library, and said in a line", () =>
  withFolder(async (folder) => {
    const out = `${folder}/new/memory.safetensors`, args = ["import", "--titans-pytorch", FILE, "--out"];
    const { code, stdout, stderr } = await runMain(...args, out);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(
      stdout,
      /memory\.safetensors: a memory of width 12 with 2 heads of width 5, \d+ parameters, which learns in mini-batches of 8 tokens\n$/,
    );
    const made = await Deno.readFile(out), given = decodeNeuralMemory(await Deno.readFile(FILE));
    assertEquals(decodeNeuralMemory(made).arrays, given.arrays);
    const { events: [event] } = await runMain(...args, `${folder}/b.safetensors`, "--json");
    assertEquals([event.event, event.options, event.bytes], ["import", given.options, made.length]);
    await Deno.writeTextFile(`${folder}/text.safetensors`, "no tensors");
    const cases: [args: string[], code: number, message: string][] = [
      [[], 2, "import needs a file: give one with --titans-pytorch FILE"],
      [["--titans-pytorch", FILE], 2, "import needs a file to write"],
      [["--titans-pytorch", FILE, "--out", out], 2, "memory.safetensors: it exists; choose another file"],
      [["--titans-pytorch", `${folder}/none`, "--out", `${folder}/c`], 2, "there is no such file or folder"],
      [["--titans-pytorch", `${folder}/text.safetensors`, "--out", `${folder}/c`], 1, "text.safetensors: Cannot read"],
      [
        ["--titans-pytorch", "models/recall/model.safetensors", "--out", `${folder}/c`],
        1,
        'its format is "mneme-weights-1"',
      ],
    ];
    for (const [args, code, message] of cases) {
      const ended = await runMain("import", ...args);
      assertEquals([ended.code, ended.stderr.trim().split("\n").length], [code, 1], ended.stderr);
      assertStringIncludes(ended.stderr, message);
    }
  }));

/** Models that come with Mneme: any command takes one by its name. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { BUILTIN_MODELS } from "../../cli/builtin_models.ts";
import { runMain } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

Deno.test("builtin: the recall model reads a fact, and knows it from its memory alone", async () =>
  await withFolder(async (folder) => {
    const text = `${folder}/text.txt`, memory = `${folder}/text.memory`, model = ["--checkpoint", "builtin:recall"];
    await Deno.writeTextFile(
      text,
      "The council met at noon. the key: Q. the key: Q. It was a long day for all of them. ",
    );
    const read = await runMain("remember", ...model, "--device", "cpu", "--text", text, "--memory", memory);
    assertEquals([read.code, read.stderr.includes("error")], [0, false]);
    const ask = ["--prompt", "the key: ", "--temperature", "0", "--tokens", "1", "--device", "cpu"];
    const asked = await runMain("generate", ...model, "--memory", memory, ...ask);
    assertStringIncludes(asked.stdout, "the key: Q");
    const unread = await runMain("generate", ...model, ...ask);
    assertEquals([unread.code, unread.stdout.includes("the key: Q")], [0, false]);
  }));

Deno.test("builtin: an unknown name is refused with those that there are, and every card says what it is", async () => {
  const { code, stderr } = await runMain("generate", "--checkpoint", "builtin:poems");
  assertEquals([code, stderr], [2, "error: there is no model builtin:poems in Mneme: it has builtin:recall\n"]);
  for (const name of Object.keys(BUILTIN_MODELS)) {
    const card = await Deno.readTextFile(new URL(`../../models/${name}/README.md`, import.meta.url));
    for (const part of ["license: mit", "## Data", "## Training", "## Figures"]) assertStringIncludes(card, part);
    const { size } = await Deno.stat(new URL(`../../models/${name}/model.safetensors`, import.meta.url));
    assertEquals(size < 1_000_000, true, `${name} has ${size} bytes`);
  }
});

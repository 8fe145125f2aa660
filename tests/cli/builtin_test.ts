/** Models that come with Mneme: any command takes one by its name. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
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

Deno.test("builtin: generate writes English before anything is trained, and says with what", () =>
  withFolder(async (folder) => {
    const run = async (...words: string[]) => {
      const args = ["run", "--no-prompt", "--allow-read", `${Deno.cwd()}/main.ts`, "generate", "--device", "cpu"];
      const { code, stdout, stderr } = await new Deno.Command("deno", { args: [...args, ...words], cwd: folder })
        .output();
      return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
    };
    const { code, stdout, stderr } = await run("--prompt", "My fellow citi", "--temperature", "0", "--tokens", "60");
    assertEquals(code, 0, stderr);
    assertEquals(stderr, "there is no run in runs/: builtin:text writes this; train your own with deno task train\n");
    assertMatch(stdout, /^My fellow citizens?\b/);
    assert(/\b(the|of|and|to)\b.*\b(the|of|and|to)\b/.test(stdout), stdout);
    const which = await run("--which", "last");
    assertEquals(which.stderr, "error: there is no run in runs/: train one first with deno task train\n");
  }));

Deno.test("builtin: serve has a model before anything is trained, and keeps its memories below runs/", () =>
  withFolder(async (folder) => {
    const permissions = ["--no-prompt", "--allow-read", "--allow-write=runs", "--allow-net=127.0.0.1"];
    const args = ["run", ...permissions, `${Deno.cwd()}/main.ts`, "serve", "--json", "--port", "0", "--device", "cpu"];
    const server = new Deno.Command("deno", { args, cwd: folder, stdout: "piped", stderr: "piped" }).spawn();
    const output = server.stdout.pipeThrough(new TextDecoderStream()).getReader(), { value } = await output.read();
    const { url, model, state } = JSON.parse(value!);
    assertEquals([model, state], ["text", "runs/builtin-text/memories"]);
    const made = await fetch(`${url}/v1/memories`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ id: "ann", text: "Ann was born in Delft. " }),
    });
    assertEquals([made.status, (await made.json()).tokens_read], [201, 23]);
    server.kill("SIGTERM");
    while (!(await output.read()).done);
    const said = await new Response(server.stderr).text();
    assertEquals((await server.status).code, 0, said);
    assertEquals(said, "there is no run in runs/: builtin:text is served; train your own with deno task train\n");
    assertEquals(Array.from(Deno.readDirSync(`${folder}/${state}`), ({ name }) => name).includes("ann.memory"), true);
  }));

Deno.test("builtin: an unknown name is refused with those that there are, and every card says what it is", async () => {
  const { code, stderr } = await runMain("generate", "--checkpoint", "builtin:poems");
  assertEquals([code, stderr], [
    2,
    "error: there is no model builtin:poems in Mneme: it has builtin:recall, builtin:text\n",
  ]);
  for (const name of Object.keys(BUILTIN_MODELS)) {
    const card = await Deno.readTextFile(new URL(`../../models/${name}/README.md`, import.meta.url));
    for (const part of ["license: mit", "## Data", "## Training", "## Figures"]) assertStringIncludes(card, part);
    // Better than the run that the README shows.
    if (name === "text") assert(Number(card.match(/`bitsPerByte` *\| *([\d.]+)/)![1]) < 2.515, card);
    const { size } = await Deno.stat(new URL(`../../models/${name}/model.safetensors`, import.meta.url));
    assertEquals(size < 1_000_000, true, `${name} has ${size} bytes`);
  }
});

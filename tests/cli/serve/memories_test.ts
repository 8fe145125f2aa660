/** Memories: made, read into, forked, learned, moved in and out as files, and there again after a restart. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { runMain } from "../run_main.ts";
import { withFolder } from "../scratch.ts";
import { download, send, serving, start, writeRun } from "./serving.ts";

const TEXT = "The key of the house lies under the third stone. ";

Deno.test("serve: completions start from what a memory has read, and learn into it", () =>
  serving([], async ({ url }) => {
    const memories = `${url}/v1/memories`;
    const made = await send(memories, "POST", { id: "ann", text: TEXT });
    assertEquals([made.status, made.body.id, made.body.tokens_read, made.body.revision], [201, "ann", TEXT.length, 1]);
    const fork = await send(`${memories}/ann/fork`, "POST", { id: "bob" });
    assertEquals([fork.status, fork.body.tokens_read], [201, TEXT.length]);
    const write = async (request: object) =>
      (await send(`${url}/v1/completions`, "POST", { seed: 3, max_tokens: 9, ...request })).body;
    const whole = (await write({ prompt: `${TEXT}Where` })).choices[0].text;
    assertEquals((await write({ prompt: "Where", memory: "ann" })).choices[0].text, whole);
    assertNotEquals((await write({ prompt: "Where" })).choices[0].text, whole);
    // Without a prompt it goes on where the text ended.
    assertEquals((await write({ memory: "ann" })).choices[0].text, (await write({ prompt: TEXT })).choices[0].text);
    assertEquals((await send(memories, "GET")).body.data.map(({ revision }: { revision: number }) => revision), [1, 1]);
    const learned = await write({ prompt: "Where", memory: "ann", learn: true });
    assertEquals([learned.choices[0].text, learned.memory.id, learned.memory.revision], [whole, "ann", 2]);
    // It knows what it would know had the text been read into it.
    const read = await send(`${memories}/bob/read`, "POST", { text: `Where${whole}` });
    assertEquals([read.body.tokens_read, read.body.revision], [learned.memory.tokens_read, 2]);
    assertEquals(
      (await write({ prompt: "?", memory: "bob" })).choices[0].text,
      (await write({ prompt: "?", memory: "ann" })).choices[0].text,
    );
    const [ann, bob] = [await download(url, "ann"), await download(url, "bob")];
    const arrays = (bytes: Uint8Array) => bytes.slice(8 + Number(new DataView(bytes.buffer).getBigUint64(0, true)));
    assertEquals(arrays(ann), arrays(bob));
  }));

Deno.test("serve: changes of one memory are made one after the other, each acknowledged one counts", () =>
  serving([], async ({ url }) => {
    const memories = `${url}/v1/memories`;
    await send(memories, "POST", { id: "a" });
    const reads = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        i % 3 === 0
          ? send(`${url}/v1/completions`, "POST", {
            prompt: "xy",
            max_tokens: 3,
            memory: "a",
            learn: true,
            stop: ["\0"],
          })
          : send(`${memories}/a/read`, "POST", { text: `${i} ` })),
    );
    const revisions = reads.map(({ body }) => (body.memory ?? body).revision as number);
    assertEquals(revisions.toSorted((a, b) => a - b), Array.from({ length: 12 }, (_, i) => i + 2));
  }));

Deno.test("serve: memories are files that remember and generate share, and are there after a restart", () =>
  withFolder(async (folder) => {
    await writeRun(`${folder}/run`);
    let { url, stop } = await start(folder);
    await send(`${url}/v1/memories`, "POST", { id: "ann", text: TEXT });
    await Deno.writeTextFile(`${folder}/text.txt`, TEXT);
    const common = ["--checkpoint", `${folder}/run`, "--device", "reference"];
    await runMain("remember", ...common, "--text", `${folder}/text.txt`, "--memory", `${folder}/own.memory`);
    const put = await send(`${url}/v1/memories/bob`, "PUT", await Deno.readFile(`${folder}/own.memory`));
    assertEquals([put.status, put.body.tokens_read], [201, TEXT.length]);
    assertEquals((await send(`${url}/v1/memories/bob`, "PUT", await download(url, "ann"))).body.revision, 2);
    const before = await download(url, "ann");
    await Deno.writeFile(`${folder}/ann.memory`, before);
    const request = { prompt: "Where", max_tokens: 8, temperature: 0, memory: "bob" };
    const text = (await send(`${url}/v1/completions`, "POST", request)).body.choices[0].text;
    const generated = await runMain(
      "generate",
      ...common,
      "--memory",
      `${folder}/ann.memory`,
      "--prompt",
      "Where",
      "--tokens",
      "8",
      "--temperature",
      "0",
    );
    assert(generated.stdout.startsWith(`Where${text}`), generated.stdout);
    await Deno.writeTextFile(`${folder}/run/memories/ann.memory.part`, "what a killed server left");
    assertEquals(await stop(), 0);
    ({ url, stop } = await start(folder));
    assertEquals(await download(url, "ann"), before);
    const shown = await send(`${url}/v1/memories/ann`, "GET", undefined, { accept: "application/json" });
    assertEquals([shown.body.revision, shown.body.bytes], [1, before.length]);
    assertEquals((await send(`${url}/v1/memories?limit=1`, "GET")).body.has_more, true);
    assertEquals((await send(`${url}/v1/memories?after=ann`, "GET")).body.data.map(({ id }: { id: string }) => id), [
      "bob",
    ]);
    assertEquals((await send(`${url}/v1/memories/ann`, "DELETE")).body.deleted, true);
    assertEquals((await send(`${url}/v1/memories/ann`, "GET")).status, 404);
    assertMatch((await send(`${url}/metrics`, "GET")).body, /^mneme_memories 1$/m);
    assertEquals(await stop(), 0);
    assertEquals([...Deno.readDirSync(`${folder}/run/memories`)].map(({ name }) => name).sort(), [
      "bob.memory",
      "serve.lock",
    ]);
  }));

Deno.test("serve: memories that cannot be are refused, and the old ones remain", () =>
  serving([], async ({ url, folder }) => {
    const memories = `${url}/v1/memories`;
    await send(memories, "POST", { id: "a", text: TEXT });
    const file = await download(url, "a"), damaged = file.slice(0, -4), bad = file.slice();
    new DataView(bad.buffer).setFloat32(bad.length - 4, NaN, true);
    await writeRun(`${folder}/other`, { width: 24 });
    const cases:
      readonly (readonly [Promise<{ status: number; body: { error: { code: string } } }>, number, string])[] = [
        [send(memories, "POST", { id: "a" }), 409, "memory_exists"],
        [send(memories, "POST", { id: "../a" }), 400, "invalid_value"],
        [send(`${memories}/A`, "PUT", file), 400, "invalid_value"],
        [send(`${memories}/..%2Fa`, "PUT", file), 400, "invalid_value"],
        [send(`${memories}/a`, "PUT", damaged), 400, "invalid_memory"],
        [send(`${memories}/a`, "PUT", bad), 422, "memory_not_finite"],
        [send(`${memories}/a`, "PUT", new Uint8Array(2 ** 22)), 413, "body_too_large"],
        [send(`${memories}/a/read`, "POST", { text: "" }), 400, "invalid_value"],
        [send(`${memories}/a/read`, "POST", { txt: "" }), 400, "unknown_parameter"],
        [send(`${memories}/b/read`, "POST", { text: "x" }), 404, "memory_not_found"],
        [send(`${memories}/b/fork`, "POST", {}), 404, "memory_not_found"],
        [send(`${memories}/b`, "DELETE"), 404, "memory_not_found"],
      ];
    for (const [answer, status, code] of cases) {
      const { status: got, body } = await answer;
      assertEquals([got, body.error.code], [status, code]);
    }
    assertEquals(await download(url, "a"), file);
    const state = ["--state", `${folder}/run/memories`],
      run = (
        name: string,
      ) => ["serve", "--device", "reference", "--port", "0", "--checkpoint", `${folder}/${name}`, ...state];
    assertMatch(
      (await runMain(...run("run"))).stderr,
      /^error: another server has the memories in .*: stop it, or choose another --state\n$/,
    );
  }));

Deno.test("serve: a folder with memories of another model, or damaged ones, is refused at the start", () =>
  withFolder(async (folder) => {
    await writeRun(`${folder}/run`);
    const { url, stop } = await start(folder);
    await send(`${url}/v1/memories`, "POST", { id: "a" });
    await stop();
    await writeRun(`${folder}/other`, { width: 24 });
    const state = `${folder}/run/memories`,
      args = (
        run: string,
      ) => ["serve", "--device", "reference", "--port", "0", "--checkpoint", `${folder}/${run}`, "--state", state];
    const other = await runMain(...args("other"));
    assertEquals(other.code, 2);
    assertMatch(
      other.stderr,
      /a\.memory is a memory of another model \(weights \w{16}, not \w{16}\): serve that one, or choose another --state\n$/,
    );
    await Deno.truncate(`${state}/a.memory`, 500);
    const cut = await runMain(...args("run"));
    assertEquals(cut.code, 1);
    assertMatch(cut.stderr, /^error: .*a\.memory is no memory file: move it elsewhere, or restore it from a backup\n$/);
  }));

/** `remember`, and `generate` from what it kept. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { decodeSafetensors, encodeSafetensors } from "../../titans/models/safetensors.ts";
import { runMain, someText, spawnMain, waitFor, wordsOf } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

/** A folder with a text, and a run of one step in `run`. */
async function withRun(fn: (folder: string) => Promise<void>, device = "reference"): Promise<void> {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(4000));
    const size = wordsOf("--batch 1 --seq-len 16 --eval-bytes 16 --sample-tokens 0 --width 16 --blocks 1");
    const flags = ["--device", device, "--data", `${folder}/text.txt`, ...size, "--mini-batch", "4", "--segment", "8"];
    const { code, stderr } = await runMain(
      "train",
      ...flags,
      "--model",
      "mac",
      "--steps",
      "1",
      "--out",
      `${folder}/run`,
    );
    assertEquals([code, stderr], [0, ""]);
    await fn(folder);
  });
}

function remember(folder: string, text: string, memory: string, ...more: string[]): string[] {
  return [
    "remember",
    "--device",
    "reference",
    "--checkpoint",
    `${folder}/run`,
    "--text",
    text,
    "--memory",
    `${folder}/${memory}`,
    ...more,
  ];
}

async function write(folder: string, ...more: string[]): Promise<string> {
  const { code, stdout, stderr } = await runMain(
    "generate",
    "--device",
    "reference",
    "--checkpoint",
    `${folder}/run`,
    "--tokens",
    "12",
    ...more,
  );
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

Deno.test("remember, then generate, writes what one reading of text and prompt writes", () =>
  withRun(async (folder) => {
    const text = `${someText(1203)}\n`, prompt = "it keeps ";
    await Deno.writeTextFile(`${folder}/book.txt`, text);
    const { code, events } = await runMain(...remember(folder, `${folder}/book.txt`, "deep/er/book.memory", "--json"));
    assertEquals(code, 0);
    assertEquals([events[0].event, events[1].event], ["start", "progress"]);
    const done = events.at(-1)!;
    assertEquals([done.event, done.bytes, done.tokensRead, done.interrupted], ["done", 1204, 1204, false]);
    const file = `${folder}/deep/er/book.memory`;
    assertEquals(
      (await Deno.readFile(file)).length < (done.stateBytes as number) + 8192,
      true,
      "a memory has the size of the state",
    );
    for (const seed of ["0", "1", "2"]) {
      const expected = await write(folder, "--prompt", text + prompt, "--seed", seed);
      assertEquals(text + await write(folder, "--memory", file, "--prompt", prompt, "--seed", seed), expected);
    }
    // Without a prompt it goes on where the text ended.
    assertEquals(text + await write(folder, "--memory", file), await write(folder, "--prompt", text));
    assert(
      await write(folder, "--memory", file, "--prompt", prompt) !== await write(folder, "--prompt", prompt),
      "what was read changes what is written",
    );
  }));

Deno.test("remember: a text in parts, packed, or from standard input leaves the memory of the whole", () =>
  withRun(async (folder) => {
    const text = someText(1203);
    await Deno.writeTextFile(`${folder}/whole.txt`, text);
    await Deno.writeTextFile(`${folder}/first.txt`, text.slice(0, 517));
    const packed = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
    await Deno.writeFile(`${folder}/whole.txt.gz`, packed);
    assertEquals((await runMain(...remember(folder, `${folder}/whole.txt`, "whole.memory"))).code, 0);
    assertEquals((await runMain(...remember(folder, `${folder}/first.txt`, "parts.memory"))).code, 0);
    assertEquals(
      (await runMain(...remember(folder, `${folder}/whole.txt`, "parts.memory", "--continue", "--skip", "517"))).code,
      0,
    );
    assertEquals((await runMain(...remember(folder, `${folder}/whole.txt.gz`, "packed.memory"))).code, 0);
    const permissions = ["--no-prompt", "--allow-read", "--allow-write=.scratch", "--allow-env=NODEVICE_SELECT"];
    const args = ["run", ...permissions, "main.ts", ...remember(folder, "-", "piped.memory", "--json")];
    const child = new Deno.Command("deno", { args, stdin: "piped", stdout: "null", stderr: "piped" }).spawn();
    const input = child.stdin.getWriter();
    await input.write(new TextEncoder().encode(text.slice(0, 700)));
    await input.write(new TextEncoder().encode(text.slice(700)));
    await input.close();
    assertEquals(await new Response(child.stderr).text(), "");
    assertEquals((await child.status).code, 0);
    const read = async (name: string) => decodeSafetensors(await Deno.readFile(`${folder}/${name}.memory`));
    const whole = await read("whole");
    for (const name of ["parts", "packed", "piped"]) {
      const { tensors, metadata } = await read(name);
      assertEquals([metadata.tokensRead, metadata.weights], ["1203", whole.metadata.weights]);
      for (const [key, { data }] of Object.entries(whole.tensors)) {
        data.forEach((value, i) =>
          assert(
            Math.abs(tensors[key].data[i] - value) < 1e-5,
            `${name} ${key} ${i}: ${tensors[key].data[i]} is not ${value}`,
          )
        );
      }
    }
    assertEquals(
      JSON.parse((await read("parts")).metadata.texts).map(({ from, bytes }: Record<string, number>) => [from, bytes]),
      [[0, 517], [517, 686]],
    );
  }));

Deno.test("remember: Ctrl-C saves what was read and says how to go on", () =>
  withRun(async (folder) => {
    await Deno.writeTextFile(`${folder}/long.txt`, someText(2_000_000));
    const child = spawnMain(remember(folder, `${folder}/long.txt`, "long.memory", "--json"));
    await waitFor(child, '"event":"progress"');
    child.kill("SIGINT");
    const [{ code }, stderr] = await Promise.all([child.status, new Response(child.stderr).text()]);
    assertEquals([code, stderr], [130, ""]);
    const { metadata } = decodeSafetensors(await Deno.readFile(`${folder}/long.memory`));
    const read = Number(metadata.tokensRead);
    assert(read > 0 && read < 2_000_000, `${read} bytes were read`);
    assertEquals(JSON.parse(metadata.texts), [{ name: `${folder}/long.txt`, from: 0, bytes: read }]);
  }));

Deno.test("remember: of a text that is not UTF-8, tokens of several letters stand for its bytes, and not for those of replacement letters", () =>
  withFolder(async (folder) => {
    const latin1 = Uint8Array.from(someText(3000), (letter) => letter === "e" ? 0xe9 : letter.charCodeAt(0));
    await Deno.writeFile(`${folder}/text.txt`, latin1);
    const size = wordsOf("--batch 1 --seq-len 16 --eval-bytes 16 --sample-tokens 0 --width 16 --blocks 1 --heads 1");
    const data = [
      "--device",
      "cpu",
      "--data",
      `${folder}/text.txt`,
      "--vocabulary",
      "bpe:gpt2",
      "--cache",
      `${folder}/cache`,
    ];
    const trained = await runMain(
      "train",
      ...data,
      ...size,
      "--model",
      "lmm",
      "--steps",
      "1",
      "--out",
      `${folder}/run`,
    );
    assertEquals(trained.code, 0, trained.stderr);
    const read = [
      "remember",
      "--device",
      "cpu",
      "--checkpoint",
      `${folder}/run`,
      "--text",
      `${folder}/text.txt`,
      "--memory",
      `${folder}/a.memory`,
      "--json",
    ];
    const { code, events, stderr } = await runMain(...read, "--skip", "100");
    assertEquals([code, events.at(-1)?.bytes], [0, 2900], stderr);
  }));

Deno.test("remember: for people, it says what it reads, how large the memory is, and how to write from it", () =>
  withRun(async (folder) => {
    const { stdout } = await runMain(...remember(folder, `${folder}/text.txt`, "a.memory"));
    assertMatch(stdout, /^reading \S+text\.txt \(4,000 bytes\) with \S+ on reference: /);
    assertMatch(stdout, /\nread 4,000 bytes in \d+s; \S+a\.memory now holds 4,000 bytes of text in [\d,]+ bytes\n/);
    assertMatch(stdout, /\ngenerate from it with: deno task generate --memory \S+a\.memory --prompt TEXT\n$/);
  }));

Deno.test("remember and generate: what is missing, damaged, or another model's is told in one line, and files stay as they were", () =>
  withRun(async (folder) => {
    const fails = async (code: number, message: RegExp, ...args: string[]): Promise<void> => {
      const ended = await runMain(...args);
      assertMatch(ended.stderr, message);
      assertEquals([ended.code, ended.stderr.trim().split("\n").length], [code, 1], ended.stderr);
    };
    const text = `${folder}/text.txt`, checkpoint = ["--device", "reference", "--checkpoint", `${folder}/run`];
    await fails(2, /remember needs a text: give a file with --text FILE/, "remember", "--memory", "x");
    await fails(2, /remember needs a file for the memory: give one with --memory FILE/, "remember", "--text", text);
    await fails(
      2,
      /no text \S+none\.txt: give a file with --text FILE/,
      ...remember(folder, `${folder}/none.txt`, "a.memory"),
    );
    await fails(2, /is a directory: give a text file with --text FILE/, ...remember(folder, folder, "a.memory"));
    await fails(2, /the text \S+ is empty after 4000 bytes/, ...remember(folder, text, "a.memory", "--skip", "4000"));
    await fails(
      2,
      /no memory file \S+a\.memory: make one with deno task remember/,
      ...remember(folder, text, "a.memory", "--continue"),
    );
    await fails(
      2,
      /no memory file \S+a\.memory: make one with/,
      "generate",
      ...checkpoint,
      "--memory",
      `${folder}/a.memory`,
    );
    assertEquals((await runMain(...remember(folder, text, "a.memory"))).code, 0);
    const file = `${folder}/a.memory`, bytes = await Deno.readFile(file);
    await fails(
      2,
      /the file \S+a\.memory exists: continue from it with --continue/,
      ...remember(folder, text, "a.memory"),
    );
    await Deno.writeFile(`${folder}/bad.txt.gz`, Uint8Array.of(1, 2, 3));
    await fails(
      2,
      /bad\.txt\.gz cannot be decompressed/,
      ...remember(folder, `${folder}/bad.txt.gz`, "a.memory", "--continue"),
    );
    assertEquals(await Deno.readFile(file), bytes);
    await Deno.writeFile(`${folder}/short.memory`, bytes.subarray(0, bytes.length - 4));
    await fails(
      1,
      /short\.memory: Cannot read .* cut short/,
      "generate",
      ...checkpoint,
      "--memory",
      `${folder}/short.memory`,
    );
    await fails(
      1,
      /is "mneme-checkpoint-1", expected "mneme-memory-1": this is a checkpoint; pass it with --checkpoint, /,
      "generate",
      ...checkpoint,
      "--memory",
      `${folder}/run/checkpoint.safetensors`,
    );
    const { tensors, metadata } = decodeSafetensors(bytes);
    await Deno.writeFile(file, encodeSafetensors({ tensors, metadata: { ...metadata, weights: "0123456789abcdef" } }));
    await fails(
      1,
      /was read by a model with other weights \(0123456789abcdef, not [0-9a-f]{16}\)/,
      ...remember(folder, text, "a.memory", "--continue"),
    );
    await fails(2, /--prompt cannot be empty/, "generate", ...checkpoint, "--prompt", "");
  }));

Deno.test("remember: --quantize int8 stores a memory in less space, which is read like any other, and says what it costs", () =>
  withRun(async (folder) => {
    const text = `${folder}/short.txt`;
    await Deno.writeTextFile(text, someText(300));
    assertEquals((await runMain(...remember(folder, text, "whole.memory"))).code, 0);
    const small = ["--quantize", "int8", "--samples", "40"];
    const { code, stdout, stderr } = await runMain(...remember(folder, text, "small.memory", ...small));
    assertEquals([code, stderr], [0, ""]);
    const sizes = await Promise.all(
      ["whole", "small"].map(async (name) => (await Deno.stat(`${folder}/${name}.memory`)).size),
    );
    const said = stdout.match(
      /\nint8: ([\d,]+) -> ([\d,]+) bytes \((\d+)%\)\nbitsPerByte (\S+) -> (\S+) on the first 40 bytes of the text, read again\n/,
    );
    assert(said, stdout);
    assertEquals(said.slice(1, 3).map((size) => Number(size.replaceAll(",", ""))), sizes);
    assert(sizes[1] < 0.6 * sizes[0] && Number(said[3]) === Math.round(100 * sizes[1] / sizes[0]), `${sizes}`);
    const [before, after] = said.slice(4).map(Number);
    assert(Number.isFinite(before) && Math.abs(before - after) < 0.02, stdout);
    // Every number is within half a step of its channel, and what is no matrix is the same.
    const [whole, quantized] = await Promise.all(
      ["whole", "small"].map(async (name) =>
        decodeSafetensors(await Deno.readFile(`${folder}/${name}.memory`)).tensors
      ),
    );
    let matrices = 0;
    for (const [name, { shape, data }] of Object.entries(whole)) {
      const found = quantized[name];
      assertEquals(found.shape, shape);
      if (found.data instanceof Int8Array) matrices++;
      else assertEquals(found.data, data, name);
    }
    assert(matrices > 4 && quantized.logits.data instanceof Float32Array);
    // Reading goes on from it, and the file is in f32 again unless that is said.
    await runMain(...remember(folder, text, "small.memory", "--continue", "--json"));
    const again = decodeSafetensors(await Deno.readFile(`${folder}/small.memory`));
    assertEquals(Object.keys(again.tensors).sort(), Object.keys(whole).sort());
    const { events } = await runMain(...remember(folder, text, "c.memory", ...small, "--json"));
    const { quantization } = events.at(-1) as unknown as { quantization: { bytesBefore: number; bytes: number } };
    assertEquals([quantization.bytesBefore, quantization.bytes], sizes);
  }));

import { assert, assertEquals, assertRejects } from "@std/assert";
import { loadCorpus } from "../../cli/data.ts";
import { UsageError } from "../../cli/errors.ts";
import { withFolder } from "./scratch.ts";

Deno.test("data: a file is split, its last twentieth held out", () =>
  withFolder(async (folder) => {
    const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i % 251);
    await Deno.writeFile(`${folder}/text.txt`, bytes);
    const { train, heldOut } = await loadCorpus(`${folder}/text.txt`, 16);
    assertEquals([train.length, heldOut.length], [950, 50]);
    assertEquals([...train, ...heldOut], [...bytes]);
  }));

Deno.test("data: gzip files are unpacked", () =>
  withFolder(async (folder) => {
    const packed = new Response(new Blob(["remember ".repeat(100)]).stream().pipeThrough(new CompressionStream("gzip")));
    await Deno.writeFile(`${folder}/text.gz`, new Uint8Array(await packed.arrayBuffer()));
    const { train } = await loadCorpus(`${folder}/text.gz`, 16);
    assert(new TextDecoder().decode(train).startsWith("remember remember "));
  }));

Deno.test("data: files that are missing, empty, too short or broken are refused in one line", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/empty.txt`, "");
    await Deno.writeTextFile(`${folder}/short.txt`, "x".repeat(100));
    await Deno.writeTextFile(`${folder}/broken.gz`, "no gzip");
    await assertRejects(() => loadCorpus(`${folder}/none.txt`, 16), UsageError, `no data file ${folder}/none.txt`);
    await assertRejects(() => loadCorpus(`${folder}/empty.txt`, 16), UsageError, "is empty");
    await assertRejects(() => loadCorpus(`${folder}/short.txt`, 128), UsageError, "has 100 bytes, sequences of 128 need at least 2580");
    await assertRejects(() => loadCorpus(`${folder}/broken.gz`, 16), UsageError, "cannot be unpacked");
    await assertRejects(() => loadCorpus(folder, 16), UsageError, "is a directory");
  }));

Deno.test("data: the default text is the addresses of 1790 to 2021 in order", async () => {
  const { train, heldOut } = await loadCorpus("sotu", 128);
  assert(new TextDecoder().decode(train.subarray(0, 100)).startsWith("Fellow-Citizens of the Senate and House of Representatives"));
  const size = train.length + heldOut.length;
  assert(size > 10_700_000 && size < 10_800_000, `${size} bytes`);
});

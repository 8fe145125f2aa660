/** `export --hf`: the folder, what reads it, what quantizing says, and what is refused. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { decodeSafetensors } from "../../titans/mod.ts";
import { python } from "./python.ts";
import { runMain, someText } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const MODEL = ["--model", "lmm", "--width", "16", "--blocks", "1", "--memory-expansion", "1", "--mini-batch", "4"];
const RUN = ["--batch", "1", "--seq-len", "16", "--eval-bytes", "64", "--sample-tokens", "0", "--steps", "2"];
const PYTHON = await python("safetensors.numpy");

Deno.test("export: the folder, its readers, its card, and what is refused", async (t) =>
  await withFolder(async (folder) => {
    const run = `${folder}/run`, text = `${folder}/text.txt`, hf = `${folder}/model`;
    await Deno.writeTextFile(text, someText(3000));
    const train = ["train", "--device", "reference", "--data", text, "--out", run, "--lr", "0.0123"];
    assertEquals((await runMain(...train, ...MODEL, ...RUN)).code, 0);
    const exported = await runMain("export", "--checkpoint", run, "--hf", hf, "--license", "mit");
    assertEquals([exported.code, exported.stderr], [0, ""]);
    const place: Place = { folder, run, hf };

    await t.step("it has weights alone, what the model is, and a card", async () => {
      assertMatch(
        exported.stdout,
        /model: model\.safetensors with [\d,]+ bytes, config\.json, README\.md\nuse it with: /,
      );
      const files = [...Deno.readDirSync(hf)].map(({ name }) => name);
      assertEquals(files.sort(), ["README.md", "config.json", "model.safetensors"]);
      const { tensors } = decodeSafetensors(await Deno.readFile(`${hf}/model.safetensors`));
      const whole = decodeSafetensors(await Deno.readFile(`${run}/best.safetensors`)).tensors;
      const weights = Object.keys(whole).filter((name) => !name.startsWith("optimizer."));
      assertEquals(tensors, Object.fromEntries(weights.map((name) => [name, whole[name]])));
      const config = JSON.parse(await Deno.readTextFile(`${hf}/config.json`));
      assertEquals([config.model_type, config.step, config.data.name], ["mneme", 2, text]);
    });
    await t.step("every command reads it as it reads the run", () => readsAlike(place));
    await t.step("the card has licence, data, command and the figures of this state", () => hasCard(place, text));
    await t.step("--quantize says size and bits per byte before and after", () => quantizes(place));
    await t.step("misuse and damage are said in one line", () => refuses(place));
    await t.step({
      name: `the Python package safetensors reads it, quantized too${PYTHON ? "" : ": skipped, it is not there"}`,
      ignore: PYTHON === undefined,
      fn: () => readByPython(place),
    });
  }));

interface Place {
  readonly folder: string;
  readonly run: string;
  readonly hf: string;
}

async function readsAlike({ run, hf }: Place): Promise<void> {
  const generate = ["generate", "--device", "reference", "--tokens", "8", "--prompt", "the ", "--checkpoint"];
  const own = await runMain(...generate, run);
  assertEquals(own.code, 0);
  for (const place of [hf, `${hf}/model.safetensors`]) {
    assertEquals((await runMain(...generate, place)).stdout, own.stdout);
  }
  const evaluate = ["evaluate", "--device", "reference", "--samples", "2", "--json", "--checkpoint"];
  const before = await runMain(...evaluate, run), after = await runMain(...evaluate, hf);
  assertEquals([before.code, after.code, after.stderr], [0, 0, ""]);
  assertEquals(after.events.at(-1)!.scores, before.events.at(-1)!.scores);
}

async function hasCard({ run, hf }: Place, text: string): Promise<void> {
  const card = await Deno.readTextFile(`${hf}/README.md`);
  assert(card.startsWith("---\nlicense: mit\nlibrary_name: mneme\npipeline_tag: text-generation\n"), card);
  const { data: { sha256 } } = JSON.parse(await Deno.readTextFile(`${run}/config.json`));
  const metrics = (await Deno.readTextFile(`${run}/metrics.jsonl`)).trim().split("\n").map((line) => JSON.parse(line));
  const { bitsPerByte } = metrics.find(({ event, step }) => event === "validation" && step === 2);
  const said = [
    "# model\n",
    "for 2 steps with Mneme",
    `| text | \`${text}\` |`,
    "| size | 3,000 bytes |",
    sha256,
    "deno task train --config DIR/config.json",
    "learning rate 0.0123,",
    `| \`bitsPerByte\` | ${Number(bitsPerByte.toPrecision(4))} |`,
    "after step 2, on the device reference",
  ];
  for (const words of said) assertStringIncludes(card, words);
}

async function quantizes({ folder, run }: Place): Promise<void> {
  const hf = `${folder}/small`, ask = ["export", "--checkpoint", run, "--hf", hf, "--quantize", "int8"];
  const { code, events, stderr } = await runMain(...ask, "--samples", "2", "--device", "reference", "--json");
  assertEquals([code, stderr], [0, ""]);
  const [{ bytesBefore, bytes, measured }] = events as { bytesBefore: number; bytes: number; measured: Measured }[];
  assert(bytes < 0.4 * bytesBefore, `${bytes} of ${bytesBefore}`);
  assertEquals((await Deno.stat(`${hf}/model.safetensors`)).size, bytes);
  assertEquals(measured.figure, "bitsPerByte");
  assert(measured.before !== measured.after && Math.abs(measured.before - measured.after) < 0.02, "nearly as good");
  const card = await Deno.readTextFile(`${hf}/README.md`);
  assertMatch(card, /## Quantization\n\nint8: [\d,]+ -> [\d,]+ bytes \(\d\d%\)\nbitsPerByte /);
  const used = await runMain("generate", "--checkpoint", hf, "--device", "reference", "--tokens", "2");
  assertEquals(used.code, 0, used.stderr);
}

interface Measured {
  readonly figure: string;
  readonly before: number;
  readonly after: number;
}

async function refuses({ run, hf }: Place): Promise<void> {
  const fails = async (code: number, message: RegExp, ...args: string[]) => {
    const ended = await runMain(...args);
    assertMatch(ended.stderr, message);
    assertEquals([ended.code, ended.stderr.trim().split("\n").length], [code, 1]);
  };
  await fails(2, /^error: export needs a folder to write: give one with --hf DIR$/m, "export", "--checkpoint", run);
  await fails(2, /--hf cannot be .*run: the folder is not empty, it has/, "export", "--checkpoint", run, "--hf", run);
  const generate = ["generate", "--device", "reference", "--checkpoint", hf];
  await fails(2, /is an exported model, which has one state: leave --which out/, ...generate, "--which", "best");
  await fails(2, /is an exported model, which has nothing of the optimizer/, "train", "--resume", "--out", hf);
  const text = await Deno.readTextFile(`${hf}/config.json`), config = JSON.parse(text);
  const write = (changed: object) => Deno.writeTextFile(`${hf}/config.json`, JSON.stringify(changed));
  await write({ ...config, model: { ...config.model, mlpHidden: 5 } });
  await fails(1, /model\.safetensors: Cannot read weights: tensor \S+ has shape \[/, ...generate);
  await write({ ...config, model: { ...config.model, width: -1 } });
  await fails(1, /config\.json: Cannot use width -1/, ...generate);
  await write({ ...config, notes: { vocabulary: 3 } });
  await fails(1, /config\.json is not the config\.json of an exported model/, ...generate);
  await Deno.remove(`${hf}/config.json`);
  await fails(1, /needs .*config\.json, which says what the model is/, ...generate);
  await Deno.writeTextFile(`${hf}/config.json`, text);
}

const SCRIPT = `
import sys, numpy
from safetensors.numpy import load_file
plain, small = (load_file(f"{sys.argv[1]}/{name}/model.safetensors") for name in ("model", "small"))
for name, weights in plain.items():
    found = small[name]
    if found.dtype == numpy.int8: found = found.astype(numpy.float32) * small[name + ".scale"]
    assert found.shape == weights.shape, name
    assert numpy.abs(found - weights).max() <= numpy.abs(weights).max() / 127, name
print(plain["embedding"].shape, float(plain["embedding"][3, 5]))
`;

async function readByPython({ folder, hf }: Place): Promise<void> {
  const { embedding } = decodeSafetensors(await Deno.readFile(`${hf}/model.safetensors`)).tensors;
  const { success, stdout, stderr } = await new Deno.Command(PYTHON!, { args: ["-c", SCRIPT, folder] }).output();
  assert(success, new TextDecoder().decode(stderr));
  assertEquals(new TextDecoder().decode(stdout).trim(), `(256, 16) ${embedding.data[3 * 16 + 5]}`);
}

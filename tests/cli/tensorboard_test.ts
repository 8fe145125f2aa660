/** Event files: the bytes that TensorBoard itself writes, and what it reads of a run that went on. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { crc32c, encodeEvent, encodeRecord } from "../../cli/tensorboard.ts";
import { python } from "./python.ts";
import { metricsOf, runMain, someText } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

/** Three records as the Python package tensorboard writes them. */
const WRITTEN =
  "1800000000000000a37f4b220900001040fc54d9411a0d627261696e2e4576656e743a32338d2fe9100000000000000095fbfe180900001040fc54d94110ad023a020801cb79b93b3c00000000000000c8b7a3520900006040fc54d94110ad022a2e0a110a0a747261696e2f6c6f7373150000a03f0a190a12747261696e2f6c6561726e696e675261746515a69b443bc46f953a";

Deno.test("tensorboard: events have the bytes that TensorBoard writes", () => {
  const events = [
    encodeEvent({ seconds: 1700000000.25, version: "brain.Event:2" }),
    encodeEvent({ seconds: 1700000000.25, step: 301, sessionStart: true }),
    encodeEvent({ seconds: 1700000001.5, step: 301, scalars: [["train/loss", 1.25], ["train/learningRate", 0.003]] }),
  ];
  assertEquals(events.map((event) => hex(encodeRecord(event))).join(""), WRITTEN);
  // The check value of CRC-32C in its catalogues.
  assertEquals(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
  // Steps beyond 32 bits, and tags that are no ASCII.
  assertEquals(hex(encodeEvent({ seconds: 0, step: 2 ** 40 + 1 })), "090000000000000000" + "10818080808020");
  assertEquals(hex(encodeEvent({ seconds: 0, scalars: [["é", NaN]] })), "0900000000000000002a0b0a090a02c3a9150000c07f");
});

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const PYTHON = await python("tensorboard");

const SCRIPT = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
events.Reload()
print(json.dumps({tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}))
`;

Deno.test("tensorboard: a run and what it goes on to after a kill are one curve, with every step once", () =>
  withFolder(async (folder) => {
    const run = `${folder}/run`, text = `${folder}/text.txt`;
    await Deno.writeTextFile(text, someText(3000));
    const model = ["--model", "lmm", "--width", "16", "--blocks", "1", "--memory-expansion", "1", "--mini-batch", "4"];
    const size = ["--batch", "1", "--seq-len", "16", "--eval-bytes", "64", "--sample-tokens", "0", "--tensorboard"];
    const train = ["train", "--device", "reference", "--data", text, "--out", run, ...size];
    assertEquals((await runMain(...train, ...model, "--steps", "2")).code, 0);
    // As if a process had logged steps after its last checkpoint before it was killed.
    const [first] = eventFiles(run), lost = { seconds: 1, step: 3, scalars: [["train/loss", 99]] } as const;
    await Deno.writeFile(`${run}/${first}`, encodeRecord(encodeEvent(lost)), { append: true });
    assertEquals((await runMain(...train, "--resume", "--steps", "4")).code, 0);
    const files = eventFiles(run);
    assertEquals([files.length, files[0]], [2, first], "a run that goes on has a further file, which is read later");
    for (const name of files) assertMatch(name, /^events\.out\.tfevents\.\d{10}\.mneme\.\d$/);
    if (PYTHON === undefined) return console.log("not read back: there is no python3 with the package tensorboard");
    const { success, stdout, stderr } = await new Deno.Command(PYTHON, { args: ["-c", SCRIPT, run] }).output();
    assert(success, new TextDecoder().decode(stderr));
    const scalars = JSON.parse(new TextDecoder().decode(stdout)) as Record<string, [step: number, value: number][]>;
    const metrics = await metricsOf(run) as { event: string; step: number; loss: number }[];
    const expected = (event: string) =>
      metrics.filter((line) => line.event === event).map(({ step, loss }) => [step, Math.fround(loss)]);
    assertEquals(scalars["train/loss"], expected("step"));
    assertEquals(scalars["validation/loss"], expected("validation"));
    assertEquals(scalars["train/loss"].map(([step]) => step), [1, 2, 3, 4]);
    assert(["train/learningRate", "train/gradientNorm", "validation/bitsPerByte"].every((tag) => tag in scalars));
  }));

function eventFiles(run: string): string[] {
  return [...Deno.readDirSync(run)].map(({ name }) => name).filter((name) => name.startsWith("events.")).sort();
}

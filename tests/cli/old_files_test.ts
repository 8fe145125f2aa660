/** Files that 0.1.0 wrote go on meaning what they meant: see tests/fixtures/0.1.0/README.md. */
import { assert, assertEquals } from "@std/assert";
import { requestDevice } from "../../kernels/mod.ts";
import { decodeCheckpoint, decodeMemory, Decoder, fingerprint, Model } from "../../titans/mod.ts";
import { runMain } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const FIXTURES = "tests/fixtures/0.1.0";

/** What 0.1.0 computed from the files of a model. */
interface Expected {
  /** After a prompt, from the reference device. */
  readonly logits: readonly number[];
  /** After a word that follows what the memory file holds. */
  readonly logitsAfterMemory: readonly number[];
  /** Of the steps after the checkpoint, on cpu. */
  readonly losses: readonly number[];
  readonly steps: readonly number[];
}

const EXPECTED = JSON.parse(await Deno.readTextFile(`${FIXTURES}/expected.json`)) as Record<string, Expected>;

/** Logits to the accuracy of 32-bit floats: device and file both hold such. */
const LOGIT_TOLERANCE = 2e-6;
/** Relative. Sums of gradients may be taken in another order. */
const LOSS_TOLERANCE = 1e-5;

function assertClose(
  actual: ArrayLike<number>,
  expected: readonly number[],
  { tolerance, what }: { tolerance: number; what: string },
): void {
  assertEquals(actual.length, expected.length, what);
  expected.forEach((value, i) =>
    assert(
      Math.abs(actual[i] - value) <= tolerance * Math.max(1, Math.abs(value)),
      `${what}, ${i}: ${actual[i]}, was ${value}`,
    )
  );
}

for (const [name, { logits, logitsAfterMemory, losses, steps }] of Object.entries(EXPECTED)) {
  Deno.test(`files of 0.1.0: ${name}: checkpoint and memory file give the same logits`, async () => {
    const { config, state } = decodeCheckpoint(await Deno.readFile(`${FIXTURES}/${name}/checkpoint.safetensors`));
    const model = new Model(config), params = model.layout.pack(state.params);
    const device = await requestDevice({ kind: "reference" });
    const decoder = await Decoder.create(device, model, params);
    const read = await decoder.prefill(new TextEncoder().encode("First Citizen: we are accounted poor"));
    assertClose(read.logits, logits, { tolerance: LOGIT_TOLERANCE, what: "logits" });
    const memory = decodeMemory(await Deno.readFile(`${FIXTURES}/${name}.memory`), {
      model,
      weights: fingerprint(params),
    });
    const after = await decoder.prefill(new TextEncoder().encode("Speak"), decoder.importState(memory.reading));
    assertClose(after.logits, logitsAfterMemory, { tolerance: LOGIT_TOLERANCE, what: "logits after memory" });
    device.dispose();
  });

  Deno.test(`files of 0.1.0: ${name}: a run resumes to the same losses`, () =>
    withFolder(async (folder) => {
      for (const file of ["config.json", "checkpoint.safetensors", "metrics.jsonl"]) {
        await Deno.copyFile(`${FIXTURES}/${name}/${file}`, `${folder}/${file}`);
      }
      const { code, stderr, events } = await runMain(
        "train",
        "--resume",
        "--out",
        folder,
        "--steps",
        "8",
        "--device",
        "cpu",
        "--json",
      );
      assertEquals(code, 0, stderr);
      const made = events.filter(({ event }) => event === "step") as unknown as { step: number; loss: number }[];
      assertEquals(made.map(({ step }) => step), steps);
      assertClose(made.map(({ loss }) => loss), losses, { tolerance: LOSS_TOLERANCE, what: "losses" });
    }));
}

/** `train --stream`: memory that is carried from step to step. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { decodeSafetensors } from "../../titans/safetensors.ts";
import { metricsOf, runMain, someText, spawnMain, waitFor } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const SIZE = ["--model", "mac", "--width", "16", "--blocks", "1", "--mini-batch", "4", "--segment", "8", "--batch", "2", "--seq-len", "16"];
const FEW = ["--eval-bytes", "16", "--sample-tokens", "0", "--warmup", "0", "--device", "cpu", "--json"];

Deno.test("train --stream: a run that was killed resumes to the same numbers, memory included", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(2000));
    const args = (run: string, ...more: string[]): string[] => {
      const schedule = ["--steps", "7", "--checkpoint-every", "3", "--cache", `${folder}/cache`];
      return ["train", "--data", `${folder}/text.txt`, "--out", `${folder}/${run}`, ...SIZE, ...FEW, ...schedule, ...more];
    };
    const whole = await runMain(...args("whole", "--stream", "100"));
    assertEquals([whole.code, whole.stderr], [0, ""]);
    const child = spawnMain(args("resumed", "--stream", "100"));
    await waitFor(child, '"event":"step","step":5,');
    child.kill("SIGKILL");
    await Promise.all([child.status, child.stderr.cancel()]);
    const resumed = await runMain(...args("resumed", "--resume"));
    assertEquals([resumed.code, resumed.events[0].step], [0, 3]);
    assertEquals(await metricsOf(`${folder}/resumed`), await metricsOf(`${folder}/whole`));
    const { tensors } = decodeSafetensors(await Deno.readFile(`${folder}/whole/checkpoint.safetensors`));
    assertEquals(tensors["stream.blocks.0.mac.memory.memory.weights.0"].shape, [1, 2, 2, 8, 32]);
    assertEquals(JSON.parse(await Deno.readTextFile(`${folder}/whole/config.json`)).stream, 100);
    const anew = await runMain(...args("anew"));
    assert(JSON.stringify(anew.events.slice(1, 7).map(({ loss }) => loss)) !== JSON.stringify(whole.events.slice(1, 7).map(({ loss }) => loss)));
    const changed = await runMain(...args("whole", "--resume", "--stream", "50"));
    assertMatch(changed.stderr, /was made with --stream 100, not 50/);
    const odd = await runMain(...args("odd", "--stream", "100").map((word) => (word === "16" ? "12" : word)));
    assertEquals(odd.code, 2);
    assertMatch(odd.stderr, /^error: Cannot stream with windows of 12 tokens: the length must be a multiple of 8/m);
    const weighted = await runMain(...args("weighted", "--stream", "100").map((word) => (word.endsWith("text.txt") ? `${word}=2` : word)));
    assertMatch(weighted.stderr, /with --stream every text is read once a round: leave the weights of --data out/);
  }));

/** The commands on WebGPU. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { metricsOf, runMain, someText, spawnMain, waitFor, wordsOf } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

Deno.test("info: names device, adapter, reason and limits, for people and for scripts", async () => {
  const { code, stdout } = await runMain("info", "--device", "webgpu");
  assertEquals(code, 0);
  assertMatch(stdout, /^mneme +\d+\.\d+\.\d+$/m);
  assertMatch(stdout, /^device +webgpu$/m);
  assertMatch(stdout, /^why +\S/m);
  assertMatch(stdout, /^maxTensorBytes +\d{9,}$/m);
  const [report] = (await runMain("info", "--device", "webgpu", "--json")).events as {
    device: { kind: string; description: string };
    limits: Record<string, number>;
  }[];
  assertEquals(report.device.kind, "webgpu");
  assert(report.limits.maxTensorBytes >= 2 ** 27);
});

Deno.test("info: without a GPU the processors are taken, and it says why", async () => {
  const [report] = (await runMain("info", "--json")).events as {
    device: { kind: string; software: boolean };
    reason: string;
  }[];
  const reasons = {
    webgpu: /^a GPU was found$/,
    native: /^no GPU was found; what a C compiler makes is the fastest on the CPU$/,
    cpu: /^no GPU was found; the CPU is faster than a software adapter(; not native: .+)?$/,
  };
  assertMatch(report.reason, reasons[report.device.kind as keyof typeof reasons]);
});

Deno.test("info: the reference device is there without an adapter", async () => {
  const { code, stdout } = await runMain("info", "--device", "reference");
  assertEquals(code, 0);
  assertMatch(stdout, /^device +reference$/m);
});

Deno.test("info: the number of threads is the one that is asked for", async () => {
  const of = (...args: string[]) => runMain("info", "--device", "cpu", ...args);
  assertMatch((await of("--threads", "1")).stdout, /, 1 thread$/m);
  assertMatch((await of("--threads", "3")).stdout, /, 3 threads$/m);
  assertMatch((await of("--threads", "0")).stderr, /--threads cannot be 0: it must be an integer from 1 to 1024/);
});

for (const kind of ["webgpu", "cpu"]) {
  Deno.test(`train and generate on ${kind}: a run that was killed resumes to the same numbers, bit for bit, and writes the same text`, () =>
    withFolder(async (folder) => {
      await Deno.writeTextFile(`${folder}/text.txt`, someText(4000));
      const args = (run: string, ...more: string[]) => {
        // WebGPU's software adapter compiles slowly.
        const model = ["--model", "lmm", ...(kind === "webgpu" ? ["--width", "16", "--blocks", "1"] : [])];
        const size = wordsOf("--batch 2 --seq-len 32 --eval-bytes 64 --sample-tokens 8 --warmup 0");
        const schedule = ["--steps", "4", "--checkpoint-every", "2"];
        return [
          "train",
          "--device",
          kind,
          "--data",
          `${folder}/text.txt`,
          "--out",
          `${folder}/${run}`,
          ...model,
          ...size,
          ...schedule,
          "--json",
          ...more,
        ];
      };
      const whole = await runMain(...args("whole"));
      assertEquals([whole.code, whole.stderr], [0, ""]);
      const child = spawnMain(args("resumed"));
      await waitFor(child, '"event":"step","step":3,');
      child.kill("SIGKILL");
      await Promise.all([child.status, child.stderr.cancel()]);
      const resumed = await runMain(...args("resumed", "--resume"));
      assertEquals([resumed.code, resumed.events[0].step], [0, 2]);
      assertEquals(await metricsOf(`${folder}/resumed`), await metricsOf(`${folder}/whole`));
      const sample = ["--device", kind, "--tokens", "12", "--seed", "3", "--json"];
      const first = await runMain("generate", "--checkpoint", `${folder}/whole`, ...sample);
      const second = await runMain("generate", "--checkpoint", `${folder}/resumed/checkpoint.safetensors`, ...sample);
      assertEquals(first.code, 0);
      assertEquals(first.events.at(-1)!.text, second.events.at(-1)!.text);
      assertEquals(first.events.slice(0, -1).map(({ text }) => text).join(""), first.events.at(-1)!.text);
      assertEquals(first.events.at(-1)!.tokens, 12);
    }));
}

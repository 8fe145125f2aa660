import { assert, assertAlmostEquals, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Speed } from "../../cli/speed.ts";
import { runMain, someText, wordsOf } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

/** Commands that the overview shows. */
const COMMANDS = [
  "train",
  "generate",
  "evaluate",
  "export",
  "remember",
  "serve",
  "forecast",
  "inspect",
  "fetch",
  "list",
  "import",
  "info",
];

Deno.test("main: without a command, or with help, it shows the commands and how to start", async () => {
  for (const args of [[], ["help"], ["--help"], ["-h"]]) {
    const { code, stdout, stderr } = await runMain(...args);
    assertEquals([code, stderr], [0, ""]);
    for (const command of COMMANDS) {
      assertMatch(stdout, new RegExp(`^ {2}${command} +\\S`, "m"));
    }
    assertStringIncludes(stdout, "deno task train");
  }
});

Deno.test("main: each command's help has examples and every flag", async () => {
  for (const command of COMMANDS) {
    const { code, stdout } = await runMain(command, "--help");
    assertEquals(code, 0);
    assertStringIncludes(stdout, `\nexamples:\n  deno task ${command}`);
    if (!["fetch", "list", "import"].includes(command)) {
      assertMatch(stdout, /^ {2}--device auto\|webgpu\|native\|cpu\|reference$/m);
    }
    assertEquals((await runMain("help", command)).stdout, stdout);
    assert(stdout.split("\n").every((line) => line.length <= 160), "lines of the help fit a wide terminal");
  }
});

Deno.test("main: --version is the version of deno.json", async () => {
  const { version } = JSON.parse(await Deno.readTextFile("deno.json"));
  assertEquals((await runMain("--version")).stdout, `mneme ${version}\n`);
});

Deno.test("generate: the text goes on from the prompt, and the same seed gives the same text", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(4000));
    const size = wordsOf("--model lmm --batch 1 --seq-len 16 --eval-bytes 16 --sample-tokens 0 --steps 1");
    await runMain("train", "--device", "reference", "--data", `${folder}/text.txt`, "--out", folder, ...size);
    const write = async (...more: string[]) => {
      const { code, stdout } = await runMain(
        "generate",
        "--device",
        "reference",
        "--checkpoint",
        folder,
        "--prompt",
        "keeps ",
        "--tokens",
        "6",
        ...more,
      );
      assertEquals(code, 0);
      return stdout;
    };
    const text = await write();
    assert(text.startsWith("keeps ") && text.endsWith("\n"), text);
    assertEquals(await write(), text);
    assert(await write("--seed", "1") !== text, "another seed gives another text");
    assertEquals(await write("--top-k", "1"), await write("--temperature", "0"));
  }));

Deno.test("speed: rounds are sized by time, and the first, in which kernels compile, is forgotten", async () => {
  let now = 0;
  const speed = new Speed(100, () => now);
  const round = (ms: number, steps: number) => speed.measure(steps, () => Promise.resolve(now += ms));
  assertEquals([speed.stepsIn(250, 50), speed.tokensPerSecond], [1, 0]);
  await round(10_000, 1);
  assertEquals([speed.stepsIn(250, 50), speed.tokensPerSecond], [1, 10]);
  await round(50, 5);
  assertEquals([speed.stepsIn(250, 50), speed.stepsIn(1000, 50)], [25, 50]);
  assertAlmostEquals(speed.tokensPerSecond, 10_000);
  await round(20, 1);
  assertAlmostEquals(speed.tokensPerSecond, 100 / (0.8 * 0.01 + 0.2 * 0.02));
});

/** The tasks for whoever works on the library: each explains itself, and none takes a word for something else. */
import { assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { UsageError } from "../cli/errors.ts";
import { parseFlags } from "../cli/flags.ts";
import { runFolder } from "./titans/soak_precision.ts";
import { StepProgress } from "./titans/step_progress.ts";
import { integers, words } from "./tool.ts";

/** Tasks that hand their words to something else, or that take none: they find or install what the tests need. */
const OTHERS = ["test", "test:data", "golden", "setup:browser", "setup:compiler", "setup:mpi"];

/** The tasks that run a file below tests/, with the words after `deno`. */
async function toolTasks(): Promise<[name: string, words: string[]][]> {
  const { tasks } = JSON.parse(await Deno.readTextFile("deno.json")) as { tasks: Record<string, { command: string }> };
  return Object.entries(tasks).flatMap(([name, { command }]) => {
    const run = /\bdeno (run .*tests\/\S+\.ts)$/.exec(command)?.[1];
    return run === undefined || OTHERS.includes(name) ? [] : [[name, run.split(" ")] as [string, string[]]];
  });
}

async function runDeno(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const options: Deno.CommandOptions = { args: [...args], stdin: "null", env: { NO_COLOR: "1" } };
  const { code, stdout, stderr } = await new Deno.Command("deno", options).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

const TOOLS = await toolTasks();

Deno.test("tools: every long check and measurement is looked at", () => {
  const names = TOOLS.map(([name]) => name), soaks = names.filter((name) => name.startsWith("soak:"));
  assertEquals(soaks.length, 8);
  for (const name of ["fuzz", "fuzz:bytes", "kill", "mutate", "bench", "compare"]) {
    assertEquals(names.includes(name), true);
  }
});

for (const [name, command] of TOOLS) {
  Deno.test(`tools: deno task ${name} explains its flags, and refuses other words in a line`, async () => {
    const [help, ...refused] = await Promise.all(
      [["--help"], ["--halp"], ["7"], ["cpu"]].map((words) => runDeno([...command, ...words])),
    );
    assertEquals([help.code, help.stderr], [0, ""]);
    assertStringIncludes(help.stdout, `deno task ${name} [flags]`);
    assertMatch(help.stdout, /\n {2}--[a-z]/);
    for (const { code, stdout, stderr } of refused) {
      assertEquals([code, stdout], [2, ""], stderr);
      assertMatch(stderr, /^error: [^\n]+\n$/);
    }
    assertMatch(refused[0].stderr, /unknown flag --halp/);
  });
}

Deno.test("tools: lists of words and of integers", () => {
  const flags = { kinds: words(["cpu", "gpu"], "kinds", ["cpu", "gpu"]), seeds: integers("seeds", [0, 1], 0) };
  const read = (...args: string[]) => parseFlags(args, flags, "it").values;
  assertEquals(read(), { kinds: ["cpu", "gpu"], seeds: [0, 1] });
  assertEquals(read("--kinds", "gpu,gpu", "--seeds=2,0,2"), { kinds: ["gpu"], seeds: [2, 0] });
  for (const wrong of ["--seeds=", "--seeds=a", "--seeds=1.5", "--seeds=-1", "--seeds=1,", "--kinds=tpu", "--kinds="]) {
    assertThrows(() => read(wrong), UsageError, wrong.split("=")[0]);
  }
});

Deno.test("soak:precision: a finished run is found again, and one of another batch is another", () => {
  const run = { device: "webgpu", model: "mac", steps: 300, batch: 32, precision: "f16", seed: 2 };
  assertEquals(runFolder(run), ".scratch/precision/webgpu-mac-300-f16-2");
  assertEquals(runFolder({ ...run, batch: 8 }), ".scratch/precision/webgpu-mac-300-batch-8-f16-2");
});

Deno.test("soaks: progress counts steps that were made before, and guesses from the others", () => {
  const lines: string[] = [];
  let now = 0;
  const progress = new StepProgress(40, 20, (line) => lines.push(line), () => now);
  for (let step = 1; step <= 20; step++) {
    now += 3000;
    progress.see({ event: "validation", step }, "f16");
    progress.see({ event: "step", step, loss: 2 }, "f16");
  }
  assertEquals(lines[0], "[21/40] f16: step 1, loss 2.000, ETA 57s");
  assertEquals(lines.slice(1, 3), [
    "[25/40] f16: step 5, loss 2.000, ETA 45s",
    "[29/40] f16: step 9, loss 2.000, ETA 33s",
  ]);
  assertEquals(lines.at(-1), "[40/40] f16: step 20, loss 2.000, ETA 0s");
});

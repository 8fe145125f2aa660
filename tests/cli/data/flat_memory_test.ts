import { assert, assertEquals } from "@std/assert";
import { withFolder } from "../scratch.ts";
import { wordsOf } from "../run_main.ts";

/**
 * The most that is alive while a corpus of some megabytes is prepared and learned from, in megabytes; each in a process
 * of its own.
 */
async function peaks(
  folder: string,
  { end, stream }: Case,
  megabytes: number,
): Promise<{ preparingPeak: number; trainingPeak: number }> {
  const flags = [
    "--stream",
    String(stream),
    "--megabytes",
    String(megabytes),
    "--end",
    end,
    "--steps",
    "5",
    "--folder",
    `${folder}/corpus`,
  ];
  const permissions = wordsOf(
    "--v8-flags=--expose-gc --no-prompt --no-check --allow-read --allow-write=.scratch --allow-env=NODEVICE_SELECT",
  );
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: ["run", ...permissions, "tests/cli/data/flat_memory.ts", ...flags],
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1)!);
}

interface Case {
  readonly end: string;
  readonly stream: number;
}

for (const one of [{ end: "txt", stream: 0 }, { end: "jsonl.gz", stream: 4096 }]) {
  Deno.test(`data: a six times larger corpus (.${one.end}${one.stream > 0 ? ", its documents streamed" : ""}) takes no more memory, while it is prepared and while it is learned from`, () =>
    withFolder(async (folder) => {
      const small = await peaks(folder, one, 16), large = await peaks(folder, one, 96);
      const message = JSON.stringify({ small, large });
      // Far less than the 80 MB between the two.
      assert(large.preparingPeak - small.preparingPeak < 20, message);
      assert(large.trainingPeak - small.trainingPeak < 20, message);
      assert(Math.min(small.preparingPeak, small.trainingPeak) > 5, message);
    }));
}

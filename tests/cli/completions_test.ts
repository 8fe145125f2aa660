/** `completions`: every command and flag is in every script, and bash completes with its own. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { COMMANDS } from "../../cli/commands.ts";
import { flagName } from "../../cli/flags.ts";
import { runMain } from "./run_main.ts";

Deno.test("completions: each script has every command and flag; another shell is refused", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const { code, stdout, stderr } = await runMain("completions", shell);
    assertEquals([code, stderr], [0, ""]);
    for (const [name, { flags }] of Object.entries(COMMANDS)) {
      assertMatch(stdout, new RegExp(`\\b${name}\\b`));
      for (const key of Object.keys(flags)) {
        const flag = flagName(key);
        assertStringIncludes(stdout, shell === "fish" ? `-l ${flag.slice(2)} ` : flag);
      }
    }
  }
  const { code, stderr } = await runMain("completions", "bahs");
  assertEquals([code, stderr], [
    2,
    'error: completions needs one shell, bash, zsh, fish, not "bahs": did you mean bash?\n',
  ]);
  assertEquals((await runMain("completions")).stderr, "error: completions needs one shell, bash, zsh, fish\n");
});

const HAS_BASH = await run("exit 0").then(({ success }) => success, () => false);

function run(script: string): Promise<Deno.CommandOutput> {
  return new Deno.Command("bash", { args: ["--norc", "-c", script] }).output();
}

Deno.test({
  name: `completions: bash completes commands, flags, words and files${HAS_BASH ? "" : " (skipped: there is no bash)"}`,
  ignore: !HAS_BASH,
  fn: async () => {
    const { stdout } = await runMain("completions", "bash");
    const complete = async (...words: string[]): Promise<string[]> => {
      const list = words.map((word) => `'${word}'`).join(" ");
      const asked = `COMP_WORDS=(mneme ${list}); COMP_CWORD=${words.length}; _mneme; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const { success, stdout: found, stderr } = await run(`set -eu\n${stdout}\n${asked}`);
      assert(success, new TextDecoder().decode(stderr));
      return new TextDecoder().decode(found).split("\n").filter(Boolean);
    };
    assertEquals(await complete("gen"), ["generate"]);
    assertEquals(await complete("help", "rem"), ["remember"]);
    assertEquals(await complete("train", "--eval"), ["--eval-every", "--eval-bytes"]);
    assertEquals(await complete("train", "--device", ""), ["auto", "webgpu", "native", "cpu", "reference"]);
    assertEquals(await complete("train", "--model", "mamb"), ["mamba", "mamba2"]);
    assertEquals(await complete("train", "--data", "READ"), ["README.md"]);
    assertEquals(await complete("train", "--steps", ""), []);
  },
});

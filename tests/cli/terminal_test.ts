import { assert, assertEquals } from "@std/assert";
import { fitLine, printable, withoutForeignCodes } from "../../cli/terminal.ts";
import { FakeTerminal } from "./fake_terminal.ts";
import { someText, spawnMain, waitFor, wordsOf } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

Deno.test("terminal: of all control codes only tabs and ends of lines are printed", () => {
  for (let code = 0; code < 0x2100; code++) {
    const letter = String.fromCharCode(code),
      control = /[\p{Cc}\u202a-\u202e\u2066-\u2069]/u.test(letter) && !/[\n\t]/.test(letter);
    assertEquals(printable(letter), control ? "·" : letter);
  }
  assertEquals(printable("größe 日本 🙂\n"), "größe 日本 🙂\n");
});

Deno.test("terminal: whatever a command quotes, only its own codes reach the terminal", () => {
  const own = "\r\x1b[Kstep 1\n\x1b[48;5;230;38;5;16mgr\x1b[0m";
  assertEquals(withoutForeignCodes(own), own);
  const foreign = "a\x1b[31mb\x07c\x0ed\x1b]0;title\x07e\rf\x9b2Jg";
  assertEquals(withoutForeignCodes(foreign), "a·[31mb·c·d·]0;title·e·f·2Jg");
  assertEquals(withoutForeignCodes(`${own}${foreign}${own}`), `${own}${printable(foreign)}${own}`);
});

Deno.test("terminal: parts of a line are left out from its end, and a single one is cut", () => {
  const fit = (columns: number) => fitLine(["one", "two", "three"], new FakeTerminal(true, columns));
  assertEquals([16, 15, 9, 8, 4, 3, 1, Infinity].map(fit), [
    "one  two  three",
    "one  two",
    "one  two",
    "one",
    "one",
    "on",
    "",
    "one  two  three",
  ]);
});

Deno.test("terminal: Ctrl-C within a long step is answered, and a second one ends it at once", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(20_000));
    // Steps of a second.
    const slow = wordsOf("--device reference --model lmm --width 32 --blocks 1 --batch 8 --seq-len 64 --eval-bytes 64");
    const child = spawnMain([
      "train",
      ...slow,
      "--data",
      `${folder}/text.txt`,
      "--out",
      `${folder}/run`,
      "--steps",
      "1000",
      "--json",
    ]);
    await waitFor(child, '"event":"step","step":2,');
    await new Promise((resolve) => setTimeout(resolve, 300));
    child.kill("SIGINT");
    let said = "";
    for await (const piece of child.stderr.pipeThrough(new TextDecoderStream())) {
      said += piece;
      if (said.includes("again to stop immediately")) child.kill("SIGINT");
    }
    const { code } = await child.status;
    // On a machine so fast that the step was over first, the run ends in good order.
    if (code !== 130) {
      assertEquals([code, said], [
        137,
        "\nstopping after this step; press Ctrl-C again to stop immediately without saving\n",
      ]);
    }
  }));

/** Runs a command line whose output is read up to its first line. */
async function firstLineOf(args: readonly string[]): Promise<{ code: number; line: string; stderr: string }> {
  const permissions = wordsOf("--no-prompt --no-check --allow-read --allow-write=.scratch --allow-env=NODEVICE_SELECT");
  const child = new Deno.Command("deno", {
    args: ["run", ...permissions, "main.ts", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stderr = new Response(child.stderr).text();
  let text = "";
  for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += piece;
    // Leaving the loop closes the pipe.
    if (text.includes("\n")) break;
  }
  return { code: (await child.status).code, line: text.split("\n")[0], stderr: await stderr };
}

Deno.test("terminal: who closes the pipe ends the computation, in good order", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.txt`, someText(200_000));
    const model = wordsOf("--model lmm --width 16 --blocks 1 --heads 1 --batch 1 --seq-len 16 --eval-bytes 16");
    const run = ["--device", "cpu", "--data", `${folder}/text.txt`, "--out", `${folder}/run`];
    const trained = await firstLineOf(["train", ...run, ...model, "--steps", "1000000", "--eval-every", "0", "--json"]);
    assertEquals(trained.code, 141, trained.stderr);
    assertEquals(trained.stderr, `continue with: deno task train --resume --out ${folder}/run\n`);
    assert((await Deno.stat(`${folder}/run/checkpoint.safetensors`)).isFile, "the run was saved");
    const read = ["--device", "cpu", "--checkpoint", `${folder}/run`, "--json"];
    assertEquals((await firstLineOf(["generate", ...read, "--tokens", "10000000"])).code, 141);
    assertEquals((await firstLineOf(["inspect", ...read, "--text", `${folder}/text.txt`])).code, 141);
  }));

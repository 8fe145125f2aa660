/** Paths as they are meant where they are typed, and what a run would read. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { userPath, userSource } from "../../cli/user_path.ts";
import { runMain, someText } from "./run_main.ts";
import { symbolicLink, withFolder } from "./scratch.ts";

Deno.test("paths: what is read is looked for where the command was typed, then in the project's folder", () =>
  withFolder(async (folder) => {
    const here = Deno.cwd(), sub = `${here}/${folder}`;
    await Deno.writeTextFile(`${folder}/mine.txt`, "text");
    for (const typed of ["mine.txt", "./mine.txt", `../${folder.split("/")[1]}/mine.txt`]) {
      assertEquals(userPath(typed, sub), `${folder}/mine.txt`);
    }
    assertEquals(userPath("main.ts", sub), "main.ts");
    assertEquals(userPath("nowhere.txt", sub), "nowhere.txt");
    assertEquals([
      userPath(`${sub}/mine.txt`, sub),
      userPath("-", sub),
      userPath("main.ts", here),
      userPath("main.ts", undefined),
    ], [
      `${sub}/mine.txt`,
      "-",
      "main.ts",
      "main.ts",
    ]);
    assertEquals(userPath(here.split("/").at(-1)!, here.split("/").slice(0, -1).join("/") || "/"), here);
    assertEquals(userSource("mine.txt=2", sub), `${folder}/mine.txt=2`);
    assertEquals(["sotu", "-", "https://example.org/a.txt", "hf:a/b/c=3"].map((source) => userSource(source, sub)), [
      "sotu",
      "-",
      "https://example.org/a.txt",
      "hf:a/b/c=3",
    ]);
  }));

Deno.test("paths: deno task train, typed in a subfolder, reads the file that is there", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/mine.txt`, someText(4000));
    const command = JSON.parse(await Deno.readTextFile("deno.json")).tasks.train.command as string;
    const words = command.slice(command.indexOf("deno run") + "deno ".length).split(" ");
    const args = [...words, "--data", "mine.txt", "--steps", "0", "--seq-len", "16"];
    const { code, stdout, stderr } = await new Deno.Command("deno", {
      args,
      env: { INIT_CWD: `${Deno.cwd()}/${folder}` },
    }).output();
    assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
    assertMatch(new TextDecoder().decode(stdout), new RegExp(`data ${folder}/mine\\.txt: 4,000 bytes in 1 document`));
  }));

Deno.test("train: --steps 0 shows what would be read, and writes nothing", () =>
  withFolder(async (folder) => {
    await Deno.mkdir(`${folder}/data`);
    await Deno.writeTextFile(`${folder}/data/a.txt`, `\u001b[31m${someText(4000)}`);
    await Deno.writeTextFile(`${folder}/data/b.jsonl`, '{"text":"one"}\n{"text":null}\n{"text":5}\n{"text":"two"}\n');
    await Deno.writeTextFile(`${folder}/data/c.png`, "x");
    const args = [
      "train",
      "--model",
      "lmm",
      "--window",
      "5",
      "--steps",
      "0",
      "--seq-len",
      "16",
      "--data",
      `${folder}/data`,
      "--skip-bad-rows",
      "--cache",
      `${folder}/cache`,
    ];
    const { code, stdout, stderr } = await runMain(...args, "--out", `${folder}/run`);
    assertEquals([code, stderr], [0, ""]);
    const lines = stdout.trim().split("\n");
    assertEquals(lines.slice(0, 3), [
      "note: --window changes nothing with --model lmm",
      `skipped in ${folder}/data: c.png (unknown type)`,
      `read ${folder}/data: 2 files, 4 records, 1 record without text skipped, 1 bad row skipped (the first: ${folder}/data/b.jsonl line 3 has no text in its field text), 3 documents, 4,015 bytes`,
    ]);
    assertMatch(lines[3], /: 4,015 bytes in 3 documents$/);
    assert(lines[5].startsWith('it begins: "') && lines[5].includes("[31m") && !lines[5].includes("\u001b"), lines[5]);
    assertMatch(lines[6], /^lmm nano: [\d,]+ parameters; nothing was trained/);
    assertEquals(await Deno.stat(`${folder}/run`).catch(() => undefined), undefined);
    const json = await runMain(...args, "--json");
    assertEquals([json.code, json.events.length], [0, 1]);
    const [{ event, bytes, documents, begins }] = json.events;
    assertEquals([event, bytes, documents], ["data", 4015, 3]);
    assert((begins as string).includes("[31m"));
    assertMatch((await runMain("train", "--steps", "0", "--resume")).stderr, /leave --resume out/);
    // Characters of several bytes are not cut.
    await Deno.writeTextFile(`${folder}/letters.txt`, `a${"\u{1f389}".repeat(1000)}`);
    const letters = ["train", "--steps", "0", "--seq-len", "16", "--data", `${folder}/letters.txt`, "--json"];
    assertEquals((await runMain(...letters)).events[0].begins, `a${"\u{1f389}".repeat(49)}`);
    // A task is shown alike, with the files that it leaves out.
    await Deno.mkdir(`${folder}/genome`);
    await Deno.writeTextFile(`${folder}/genome/a.fa`, `>a\n${"ACGTTGCA".repeat(200)}\n`);
    await symbolicLink("nowhere", `${folder}/genome/b.fa`);
    const dna = ["train", "--task", "dna", "--data", `${folder}/genome`, "--steps", "0", "--out", `${folder}/run`];
    const task = await runMain(...dna);
    assertEquals([task.code, task.stderr], [0, ""]);
    const [skipped, description, summary] = task.stdout.trim().split("\n");
    assertEquals(skipped, `skipped in ${folder}/genome: b.fa (a broken link)`);
    assertMatch(description, /^task dna \(data \S+genome, .*\), samples of \d+ tokens$/);
    assertMatch(summary, /^mac nano: [\d,]+ parameters; nothing was trained/);
    assertEquals(await Deno.stat(`${folder}/run`).catch(() => undefined), undefined);
  }));

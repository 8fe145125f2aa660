/** `evaluate --jobs`: processes share an evaluation, and come to the figures of one. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { flagWords, integer, parseFlags, texts, toggle } from "../../cli/flags.ts";
import { runMain, someText } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const MODEL = "--model lmm --width 16 --heads 1 --blocks 1 --batch 4 --steps 1 --eval-every 0 --eval-bytes 64";
const TASK = "--task recall --task-option pairs=2 --task-option keys=4 --task-option values=4";

/** The lines of an evaluation without how long each took, in an order of their own. */
function lines(text: string): string[] {
  return text.trim().split("\n").map((line) => JSON.stringify({ ...JSON.parse(line), seconds: 0 })).sort();
}

Deno.test("evaluate: processes share cells and samples, one is lost, and the figures have the bits of one process", () =>
  withFolder(async (folder) => {
    const run = `${folder}/run`, words = `--device cpu --json --out ${run} ${TASK} ${MODEL}`.split(" ");
    const trained = await runMain("train", ...words);
    assertEquals(trained.code, 0, trained.stderr);
    const measure = (words: string, ...more: string[]) =>
      runMain(
        "evaluate",
        ..."--samples 20 --batch 4 --device cpu --json --checkpoint".split(" "),
        run,
        ...words.split(" "),
        ...more,
      );
    const alone = await measure(`--out ${folder}/alone.jsonl`);
    assertEquals(alone.code, 0, alone.stderr);

    const launcher = `${folder}/launcher.sh`, said = `${folder}/said`;
    // The first process is killed as it begins: mkdir succeeds once.
    await Deno.writeTextFile(
      launcher,
      `echo "$@" >> ${said}\nmkdir ${folder}/lost 2>/dev/null && kill -9 $$\nexec "$@"\n`,
    );
    const out = `${folder}/shared.jsonl`;
    const shared = await measure(`--jobs 2 --out ${out} --launch`, `bash ${launcher}`);
    assertEquals(shared.code, 0, shared.stderr);
    assertEquals(shared.events.at(-1)!.scores, alone.events.at(-1)!.scores);
    assertEquals(lines(await Deno.readTextFile(out)), lines(await Deno.readTextFile(`${folder}/alone.jsonl`)));
    const parts = (await Deno.readTextFile(said)).trim().split("\n").map((line) =>
      line.split("--part=").slice(1).join()
    );
    assertEquals([...new Set(parts)].sort(), [
      "1 pairs",
      "4 pairs",
      "test samples, batches 0 to 1",
      "test samples, batches 2 to 3",
      "test samples, batches 4 to 4",
    ]);
    assertEquals(parts.length, 6, "the part that was lost is measured by another process");

    const again = await measure(`--jobs 2 --out ${out} --launch`, "no-such-launcher");
    assertEquals([again.code, again.events.at(-1)!.scores], [0, alone.events.at(-1)!.scores], "all is known");
    await Deno.writeTextFile(launcher, `echo >> ${said}\nexit 255\n`);
    const before = (await Deno.readTextFile(said)).length,
      gone = await measure("--jobs 1 --launch", `bash ${launcher}`);
    assertMatch(gone.stderr, /error: cannot measure 4 pairs: the process was lost 3 times/);
    assertEquals([gone.code, (await Deno.readTextFile(said)).length - before], [1, 3]);
    // What another model came to is not taken.
    await Deno.writeTextFile(launcher, `exec "\${@/--samples=20/--samples=24}"\n`);
    const other = await measure("--jobs 1 --launch", `bash ${launcher}`);
    assertEquals(other.code, 1);
    assertMatch(other.stderr, /cannot measure 4 pairs: the process read other weights or other data; all must see/);

    const refused = async (message: RegExp, ...words: string[]): Promise<void> => {
      const { code, stderr } = await runMain("evaluate", "--checkpoint", run, "--device", "cpu", "--json", ...words);
      assertEquals(code, 2, stderr);
      assertMatch(stderr, message);
    };
    await refused(/--launch starts the processes of --jobs N/, "--launch", "srun");
    await refused(/--part prints lines for the process that puts parts together/, "--part", "x", "--out", out);
    await refused(
      /--part cannot be "test samples, batches 32 to 32": the evaluation has no such part/,
      "--part",
      "test samples, batches 32 to 32",
    );
  }));

Deno.test("evaluate: processes share questions, and another model is compared with all their answers", () =>
  withFolder(async (folder) => {
    const run = `${folder}/run`, data = `${folder}/sets`;
    await Deno.writeTextFile(`${folder}/text.txt`, someText(1000));
    const text = `--data ${folder}/text.txt --cache ${folder} --seq-len 16 --sample-tokens 0`;
    const trained = await runMain("train", ...`--device cpu --json --out ${run} ${text} ${MODEL}`.split(" "));
    assertEquals(trained.code, 0, trained.stderr);
    // Two sets of questions; the other model was asked all of one and every second of the other.
    await Deno.mkdir(data);
    const samples: string[] = [];
    for (const [name, count, step] of [["first", 40, 1], ["second", 6, 2]] as const) {
      const questions = Array.from(
        { length: count },
        (_, i) => ({ question: `${name} ${i}?`, choices: ["a", "bc"], label: i % 2 }),
      );
      await Deno.writeTextFile(`${data}/${name}.jsonl`, questions.map((one) => `${JSON.stringify(one)}\n`).join(""));
      for (let i = 0; i < count; i += step) {
        const asked = [" a", " bc"].map((choice) => [`Question: ${name} ${i}?\nAnswer:`, choice]);
        samples.push(JSON.stringify({ arguments: asked, resps: [[[-4 - i % 3, false]], [[-5, false]]] }));
      }
    }
    await Deno.writeTextFile(`${folder}/samples_sets.jsonl`, `${samples.join("\n")}\n`);
    const measure = (words: string, ...more: string[]) =>
      runMain(
        "evaluate",
        ...`--task choice --task-option data=${data} --batch 4 --device cpu --json --checkpoint ${run}`.split(" "),
        ...`--against ${folder}/samples_sets.jsonl ${words}`.split(" "),
        ...more,
      );
    const alone = await measure(`--out ${folder}/alone.jsonl`);
    assertEquals(alone.code, 0, alone.stderr);
    const { scores: paired } = alone.events.at(-1)!.against as unknown as {
      scores: { name: string; difference: { count: number } }[];
    };
    assertEquals(
      paired.filter(({ name }) => name.endsWith("acc")).map(({ name, difference }) => [name, difference.count]),
      [
        ["first: acc", 40],
        ["second: acc", 3],
      ],
    );
    // One process is killed after it has begun to answer.
    const launcher = `${folder}/launcher.sh`, out = `${folder}/shared.jsonl`;
    await Deno.writeTextFile(
      launcher,
      `if mkdir ${folder}/lost 2>/dev/null; then "$@" | head -n 1; kill -9 $$; fi\nexec "$@"\n`,
    );
    const shared = await measure(`--jobs 2 --out ${out} --launch`, `bash ${launcher}`);
    assertEquals(shared.code, 0, shared.stderr);
    const figures = ({ events }: typeof alone) => {
      const { scores, against } = events.at(-1)!;
      return { scores, against };
    };
    assertEquals(figures(shared), figures(alone));
    assertEquals(
      lines(await Deno.readTextFile(out)).length,
      lines(await Deno.readTextFile(`${folder}/alone.jsonl`)).length,
    );
    // Stopped within a set: what was answered is not asked for again by whoever goes on, and the figures are the same.
    const stored = (await Deno.readTextFile(out)).trim().split("\n");
    const isKept = ({ cell, part, from, event }: Record<string, unknown>) =>
      (cell ?? part) === "second" || event === "answers" && from === 0;
    await Deno.writeTextFile(
      out,
      stored.filter((line) => isKept(JSON.parse(line))).map((line) => `${line}\n`).join(""),
    );
    const again = await measure(`--jobs 2 --out ${out} --launch`, `bash ${launcher}`);
    assertEquals(figures(again), figures(alone));
    const known = await measure(`--jobs 2 --out ${out} --launch`, "no-such-launcher");
    assertEquals([known.code, figures(known)], [0, figures(alone)], known.stderr);
    // What another model was asked is read before any process starts.
    await Deno.writeTextFile(`${folder}/samples_sets.jsonl`, samples[0].replaceAll("first", "third"));
    const other = await measure("--jobs 2 --launch", "no-such-launcher");
    assertEquals(other.code, 2);
    assertMatch(
      other.stderr,
      /^error: Cannot compare with samples_sets.jsonl: none of its 1 samples asks one of these/,
    );
  }));

Deno.test("flags: the words of flags are read as their values again", () => {
  const flags = { samples: integer("", 1), taskOption: texts("X", ""), json: toggle(""), part: texts("NAME", "") };
  const { values, given } = parseFlags(["--samples", "3", "--json", "--part", "a b", "--part=--c"], flags, "test");
  const words = flagWords(flags, values, [...given] as (keyof typeof flags)[]);
  assertEquals(words, ["--samples=3", "--json", "--part=a b", "--part=--c"]);
  assertEquals(parseFlags(words, flags, "test").values, values);
  assert(!given.has("taskOption"));
});

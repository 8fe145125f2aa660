/** The command `classify` on texts: layouts, training, predictions of files and standard input, and what it refuses. */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { readLabelledData } from "../../cli/classify/labelled_data.ts";
import { SampleRandom } from "../../titans/mod.ts";
import { pack } from "./data/data_files.ts";
import { runMain } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

/** Files by path. */
async function write(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await Deno.mkdir(`${folder}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeFile(`${folder}/${path}`, path.endsWith(".gz") ? await pack(text) : new TextEncoder().encode(text));
  }
}

const shown = async (path: string, options: Partial<Parameters<typeof readLabelledData>[1]> = {}) => {
  const { alphabet, sequences } = await readLabelledData(path, { minQuality: 0, ...options });
  assertEquals(alphabet.name, "bytes");
  return sequences.map(({ tokens, label, split }) => [new TextDecoder().decode(tokens), label, split ?? ""].join("|"));
};

Deno.test("texts with classes: the layouts of folders, tables, records and lines", () =>
  withFolder(async (folder) => {
    await write(folder, {
      "mail/spam/1.txt": "Buy now\n",
      "mail/ham/2.txt.gz": "See you soon",
      "hf/train.jsonl": '{"text":"fine film","label":1,"label_text":"positive"}\n\n{"text":"dull","label":0}\n',
      "hf/test.jsonl.gz": '{"text":"so so","label":true}\n',
      "list.json": '[{"sentence":"It rains.","category":"weather"}]',
      "Reviews.CSV": 'ID,Review,Stars\n7,"Good, ""very""\ngood",5\n8,Bad,1\n',
      "two.tsv": "kind of thing\ttext\nquestion\tWho knows?\n",
      "fast/train.txt": "__label__a  One text\n\n__label__b another one\n",
      "fast/test.txt": "__label__a a third text\n",
      "lines.txt": "One text, zum Beispiel\r\n\nzwölf Wörter\n",
    });
    assertEquals(await shown(`${folder}/mail`), ["See you soon|ham|", "Buy now\n|spam|"]);
    assertEquals(await shown(`${folder}/hf`), ["so so|true|test", "fine film|1|train", "dull|0|train"]);
    assertEquals(await shown(`${folder}/list.json`), ["It rains.|weather|"]);
    assertEquals(await shown(`${folder}/Reviews.CSV`, { label: "Stars" }), ['Good, "very"\ngood|5|', "Bad|1|"]);
    assertEquals(await shown(`${folder}/two.tsv`), ["Who knows?|question|"]);
    assertEquals(await shown(`${folder}/fast`), ["a third text|a|test", "One text|a|train", "another one|b|train"]);
    const unlabelled = { isLabelled: false, alphabet: "bytes" };
    assertEquals(await shown(`${folder}/lines.txt`, unlabelled), ["One text, zum Beispiel||", "zwölf Wörter||"]);
    assertEquals(await shown(`${folder}/Reviews.CSV`, unlabelled), ['Good, "very"\ngood||', "Bad||"]);
  }));

const QUICK = ["--device", "cpu", "--token-dropout", "0", "--batch", "16"];

/** Rows of a table, in whose texts a word says the class. */
function rows(count: number, first = 0): string[] {
  return Array.from({ length: count }, (_, i) => {
    const random = new SampleRandom(2, `row ${first + i}`), word = ["sunny", "rainy"][i % 2];
    const noise = () => Array.from({ length: 8 }, () => "abcdefghijklmnop  "[random.integer(18)]).join("");
    return `"${noise()} ${word} ${noise()}",${word}`;
  });
}

Deno.test("classify: texts of a table are learned, and predicted from a file and through a pipe", () =>
  withFolder(async (folder) => {
    await write(folder, { "days.csv": `text,weather\n${rows(400).join("\n")}\n` });
    const out = `${folder}/out`, args = ["classify", "--data", `${folder}/days.csv`, ...QUICK];
    const trained = await runMain(...args, "--label", "weather", "--model", "cnn", "--epochs", "6", "--out", out);
    assertEquals([trained.code, trained.stderr], [0, ""]);
    assertStringIncludes(trained.stdout, "400 texts of up to 23 bytes: rainy 200, sunny 200\n288 to train on, 32 to");
    assertMatch(trained.stdout, /\nmacroF1 +[01]\.?\d* .* 80\n/);
    assertMatch(trained.stdout, /\nclass +as rainy +as sunny\nrainy +\d+ +\d+\nsunny +\d+ +\d+\n/);
    const { scores, alphabet, floors } = JSON.parse(await Deno.readTextFile(`${out}/results.json`));
    assertEquals([alphabet, Object.keys(floors)], ["bytes", ["commonest class", "n-gram Bayes", "n-gram logistic"]]);
    assert(scores[1].value > 0.9, JSON.stringify(scores));

    // A table whose classes are known is measured; lines have none.
    await write(folder, { "again.csv": `text,weather\n${rows(40, 1000).join("\n")}\n` });
    const predict = ["classify", "--checkpoint", out, "--device", "cpu", "--batch", "16"];
    const again = await runMain(
      ...predict,
      ...["--data", `${folder}/again.csv`, "--label", "weather", "--out", `${folder}/p`, "--json"],
    );
    assertEquals(again.code, 0, again.stderr);
    const right = again.events.filter(({ event, class: label, predicted }) =>
      event === "prediction" && label === predicted
    );
    const test = again.events.find(({ event }) => event === "test") as unknown as { scores: { value: number }[] };
    assertEquals(right.length / 40, test.scores[1].value);
    assert(right.length > 36, `${right.length} of 40`);
    const piped = new Deno.Command("deno", {
      args: [
        ...["run", "--no-prompt", "--allow-read", "--allow-write=.scratch", "main.ts", ...predict],
        ...["--data", "-", "--out", `${folder}/piped`, "--json"],
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = piped.stdin.getWriter();
    await writer.write(new TextEncoder().encode("abcdefg sunny hijklmno\n\nabcdefg rainy hijklmno\n"));
    await writer.close();
    const { code, stdout, stderr } = await piped.output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    const events = new TextDecoder().decode(stdout).trim().split("\n").map((line) => JSON.parse(line));
    const predictions = events.filter(({ event }) => event === "prediction");
    assertEquals(predictions.map(({ id }) => id), ["line 1", "line 3"]);
    assertEquals(predictions.map(({ predicted }) => predicted), ["sunny", "rainy"]);
    const csv = (await Deno.readTextFile(`${folder}/piped/predictions.csv`)).split("\n");
    assertEquals([csv[0], csv[1].slice(0, 14)], ["id,class,predicted,p rainy,p sunny", "line 1,,sunny,"]);

    // A model of text is fine-tuned.
    await write(folder, { "long.txt": rows(400).join("\n") });
    const run = await runMain(
      ...["train", "--data", `${folder}/long.txt`, "--out", `${folder}/run`, "--steps", "1", "--batch", "2"],
      ...["--seq-len", "16", "--eval-bytes", "32", "--device", "cpu", "--model", "lmm"],
      ...["--width", "16", "--heads", "1", "--blocks", "1", "--mini-batch", "8"],
    );
    assertEquals(run.code, 0, run.stderr);
    const tuned = await runMain(
      ...args,
      "--checkpoint",
      `${folder}/run`,
      "--epochs",
      "1",
      "--json",
      "--out",
      `${folder}/t`,
    );
    assertEquals(tuned.code, 0, tuned.stderr);
    assertEquals(tuned.events.map(({ event }) => event), ["start", "epoch", "test", "done"]);
    assertEquals([tuned.events[0].alphabet, tuned.events[0].length], ["bytes", 23]);
    const refused: [args: string[], message: string][] = [
      [["--data", "-"], "--data - is what a trained classifier predicts"],
      [["--data", `${folder}/days.csv`, "--reverse-complement"], "--reverse-complement is for DNA"],
      [
        ["--data", `${folder}/days.csv`, "--checkpoint", out, "--alphabet", "bytes"],
        "--alphabet changes nothing where",
      ],
    ];
    for (const [more, message] of refused) {
      const { code, stderr } = await runMain("classify", ...more);
      assertEquals([code, stderr.trim().split("\n").length], [2, 1], stderr);
      assertStringIncludes(stderr, message);
    }
    await write(folder, { "dna.csv": `sequence,label\n${"ACGTACGT,a\nACGTACGA,b\n".repeat(20)}` });
    const other = await runMain("classify", "--data", `${folder}/dna.csv`, "--checkpoint", `${folder}/run`);
    assertStringIncludes(other.stderr, "it reads 256 tokens, nucleotides are 6; give a run of train --task dna");
  }));

Deno.test("classify: texts that cannot be used are refused in one line, naming the place", () =>
  withFolder(async (folder) => {
    const cases: [file: string, content: string, message: string, columns?: { text?: string; label?: string }][] = [
      [
        "a.csv",
        "body,kind,note\nx y z,k,n\n",
        "it has no column of classes by its name, there are body, kind, note; name it with --label",
      ],
      [
        "b.csv",
        "a,b,label\nxyz,uvw,1\n",
        "it has no column of texts by its name, there are a, b, label; name it with --text",
      ],
      ["c.csv", "text,label\nxyz,1\n", "it has no column stars, there are text, label; name it with --label", {
        label: "stars",
      }],
      ["d.csv", "text,label\nxyz,1\n", "the column text is of texts and of classes", { label: "text" }],
      ["e.csv", "text,label\n", "it has no rows below its header"],
      ["f.csv", "text,label\nxyz,1\n ,1\n", "Cannot use row 3 of f.csv: its text is empty; leave it out"],
      ["g.csv", "text,label\nxyz,\n", "Cannot use row 2 of g.csv: its label is empty; leave it out"],
      [
        "h.jsonl",
        '{"text":"xyz","label":[1]}',
        "line 1 of h.jsonl: its label must be a word or a whole number, it is [1]",
      ],
      ["i.jsonl", '{"text":"xyz","label":0.5}', "its label must be a word or a whole number, it is 0.5"],
      ["j.jsonl", '{"text":5,"label":"a"}', "its text must be a text, it is 5"],
      ["k.jsonl", '{"text":"x"', "Cannot use line 1 of k.jsonl: it is not valid JSON"],
      ["l.jsonl", '{"text":"xyz","label":"a"}\n{"text":"uvw"}', "line 2 of l.jsonl: its label must be a word"],
      ["m.txt", "plain lines\nwithout classes\n", "its lines have no classes; begin each with __label__CLASS"],
      ["n.txt", "__label__a one text\n__label__a __label__b two\n", "Cannot use line 2 of n.txt: it has 2 labels"],
      ["o.txt", "__label__a one text\nno label here\n", "Cannot use line 2 of o.txt: it has 0 labels"],
      ["p.txt", "\n \n", "it has no lines with text"],
      ["q.csv", 'text,label\n__label__,1\nxyz,2\n"open,3\n', "a quote is not closed"],
    ];
    for (const [file, content, message, columns] of cases) {
      await write(folder, { [file]: content });
      await assertRejects(() => shown(`${folder}/${file}`, columns), Error, message);
    }
    const whole: [content: string, message: string][] = [
      ["xyz text,1\n".repeat(20), 'Cannot learn classes of 20 texts: all are of "1", give two classes or more'],
      ["xyz,1\nuvw,2\nrst,3\n", "Cannot learn classes of 3 texts: each has a class of its own"],
      ["xyz,1\nuvw,1\nxyz,2\n", "Cannot learn classes of 3 texts: there are none for the validation part, give more"],
    ];
    for (const [content, message] of whole) {
      await write(folder, { "whole.csv": `text,label\n${content}` });
      const { code, stderr } = await runMain("classify", "--data", `${folder}/whole.csv`);
      assertEquals([code, stderr.trim().split("\n").length], [2, 1], stderr);
      assertStringIncludes(stderr, message);
    }
  }));

/** The command `classify`: what it reads, says and writes, and what it refuses. */
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { summarizeTrials, type Trial, type TrialSummary, trialTable } from "../../cli/classify/trials.ts";
import { readLabelledData } from "../../cli/classify/labelled_data.ts";
import { lettersOf } from "../../titans/tasks/dna/nucleotides.ts";
import { plantedMotif } from "../titans/dna_data.ts";
import { pack } from "./data/data_files.ts";
import { runMain } from "./run_main.ts";
import { symbolicLink, withFolder } from "./scratch.ts";

/** Files by path. */
async function write(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await Deno.mkdir(`${folder}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeFile(`${folder}/${path}`, path.endsWith(".gz") ? await pack(text) : new TextEncoder().encode(text));
  }
}

const shown = async (path: string, options: Partial<Parameters<typeof readLabelledData>[1]> = {}) =>
  (await readLabelledData(path, { minQuality: 0, ...options })).sequences.map(({ tokens, label, split }) =>
    [lettersOf(tokens), label, split ?? ""].join(" ").trim()
  );

Deno.test("sequences with classes: the layouts of folders and tables", () =>
  withFolder(async (folder) => {
    await write(folder, {
      "genomic/train/negative/1.txt": "acgt",
      "genomic/train/positive/2.txt": "ACGN\n",
      "genomic/train/positive/10.txt.gz": "TT\r\nTT\r\n",
      "genomic/test/positive/3.txt": "GGGG",
      "genomic/README.md": "not a sequence",
      "genomic/train/.hidden.txt": "no sequence",
      "classes/no.fa.gz": ">a\nAC\nGT\n>b\nCC\n",
      "classes/yes.fastq": "@r\nGT\n+\n!I\n",
      "parts/train/no.fa": ">a\nAC\n",
      "parts/test/yes/x.fa": ">a\nGT\n",
      "gue/train.csv": "sequence,label\nACGT,1\n",
      "gue/dev.csv": "sequence,label\nAC,0\n",
      "gue/test.csv": "sequence,label\nGT,0\n",
      "one.tsv": "Name\tSeq\tClass\tsplit\nx\tACGT\tExon\ttest\ny\tAC\tIntron\ttrain\n",
      "odd.csv.gz": 'dna string,kind\n"AC GT",a\n',
    });
    assertEquals(await shown(`${folder}/genomic`), [
      "GGGG positive test",
      "ACGT negative train",
      "TTTT positive train",
      "ACGN positive train",
    ]);
    assertEquals(await shown(`${folder}/classes`, { minQuality: 1 }), ["ACGT no", "CC no", "NT yes"]);
    assertEquals(await shown(`${folder}/parts`), ["GT yes test", "AC no train"]);
    assertEquals(await shown(`${folder}/gue`), ["AC 0 validation", "GT 0 test", "ACGT 1 train"]);
    assertEquals(await shown(`${folder}/one.tsv`), ["ACGT Exon test", "AC Intron train"]);
    assertEquals(await shown(`${folder}/odd.csv.gz`, { text: "dna string", label: "kind" }), ["ACGT a"]);
    await write(folder, {
      "bad/a/1.txt": "ACXT",
      "empty/a/1.txt": "\n",
      "none/readme.md": "text",
      "bad.csv": "sequence,label\nACGT,1\nAC-T,0\n",
      "split.csv": "sequence,label,split\nACGT,1,third\n",
      "cut.fa": ">a\nAC\n>b\n",
    });
    const cases: [path: string, message: string][] = [
      ["bad", 'Cannot use a/1.txt: "X" is no nucleotide'],
      ["empty", "Cannot use a/1.txt: its text is empty"],
      ["none", "it has no files called .fa, .fasta"],
      ["nowhere", "cannot read "],
      ["bad.csv", 'Cannot use row 3 of bad.csv: "-" is no nucleotide'],
      [
        "odd.csv.gz",
        "it has no column of texts by its name, there are dna string, kind; name it with --text",
      ],
      ["split.csv", 'its split is "third", it must be one of train, valid'],
      ["cut.fa", 'Cannot use cut.fa: line 3: the record "b" has no sequence'],
    ];
    for (const [path, message] of cases) await assertRejects(() => shown(`${folder}/${path}`), Error, message);
  }));

const QUICK = ["--device", "cpu", "--token-dropout", "0", "--batch", "16"];
const SMALL = ["--width", "16", "--heads", "1", "--blocks", "1", "--mini-batch", "8"];

Deno.test("classify: a planted motif is found by the convolutional network, beside floors; results and predictions are written", () =>
  withFolder(async (folder) => {
    const fasta = (label: string) =>
      plantedMotif(800, 32).filter((one) => one.label === label).map(({ id, tokens }) =>
        `>${id}\n${lettersOf(tokens)}\n`
      )
        .join("");
    await write(folder, { "set/motif.fa": fasta("motif"), "set/other.fa.gz": fasta("other") });
    const out = `${folder}/out`, args = ["classify", "--data", `${folder}/set`, "--out", out, ...QUICK];
    const { code, stdout, stderr } = await runMain(...args, "--model", "cnn", "--epochs", "12", "--positive", "motif");
    assertEquals([code, stderr], [0, ""]);
    assertStringIncludes(stdout, "800 sequences of up to 32 nucleotides: motif 400, other 400\n576 to train on, 64 to");
    assertMatch(stdout, /\nepoch 1: training \d\.\d+, validation \d\.\d+, accuracy \d\.\d+\n/);
    const results = JSON.parse(await Deno.readTextFile(`${out}/results.json`));
    const value = (scores: { name: string; value: number }[], name: string) =>
      scores.find((score) => score.name === name)!.value;
    assert(value(results.scores, "accuracy") > 0.9, JSON.stringify(results.scores));
    assertEquals(value(results.floors["commonest class"], "accuracy"), 0.5);
    assertEquals([results.positive, results.sequences.test, results.classes], ["motif", 160, ["motif", "other"]]);
    const rows = (await Deno.readTextFile(`${out}/predictions.csv`)).trim().split("\n").map((row) => row.split(","));
    assertEquals(rows[0], ["id", "class", "predicted", "p motif", "p other"]);
    const right = rows.slice(1).filter(([, label, predicted]) => label === predicted).length;
    assertEquals(right / 160, value(results.scores, "accuracy"));
    // A model is pretrained on a genome, and then fine-tuned; only its head is new.
    await write(folder, { "genome.fa.gz": fasta("motif") });
    const pretrained = await runMain(
      ...["train", "--task", "dna", "--data", `${folder}/genome.fa.gz`, "--task-option", "length=16", "--json"],
      ...["--out", `${folder}/run`, "--steps", "2", "--batch", "4", "--eval-bytes", "64", "--device", "cpu"],
      ...["--model", "lmm", ...SMALL],
    );
    assertEquals(pretrained.code, 0, pretrained.stderr);
    const validation = pretrained.events.find(({ event }) => event === "validation")!;
    assert(Number(validation.bitsPerNucleotide) > 1 && Number(validation.markov2BitsPerNucleotide) < 2.2);
    const tuned = await runMain(...args, "--checkpoint", `${folder}/run`, "--epochs", "1", "--json");
    assertEquals(tuned.code, 0, tuned.stderr);
    assertEquals(tuned.events.map(({ event }) => event), ["start", "epoch", "test", "done"]);
    assertStringIncludes(String(tuned.events[0].model), "lmm model: 1 block of width 16");

    // The classifier is asked about the sequences of its test part, and about ones without classes.
    await runMain(...args, "--model", "cnn", "--epochs", "1", "--length", "24");
    const said = async (path: string) =>
      (await Deno.readTextFile(path)).trim().split("\n").map((row) => row.split(",")).slice(1);
    const before = await said(`${out}/predictions.csv`), ids = new Set(before.map(([id]) => id));
    const tested = plantedMotif(800, 32).filter(({ id }) => ids.has(id));
    const csv = tested.map(({ id, tokens, label }) => `${id},${lettersOf(tokens)},${label}\n`).join("");
    await write(folder, {
      "again.csv": `id,sequence,label\n${csv}`,
      "new.fa": tested.map(({ id, tokens }) => `>${id}\n${lettersOf(tokens)}\n`).join(""),
    });
    const predict = (data: string, ...more: string[]) =>
      runMain("classify", "--data", `${folder}/${data}`, "--checkpoint", out, "--out", `${folder}/p`, ...more);
    const again = await predict("again.csv", "--device", "cpu", "--batch", "16");
    assertEquals([again.code, again.stderr], [0, ""]);
    assertStringIncludes(again.stdout, "160 sequences for cnn: ");
    assertStringIncludes(again.stdout, "160 are cut to 24 nucleotides");
    const { scores } = JSON.parse(await Deno.readTextFile(`${out}/results.json`));
    assertMatch(again.stdout, new RegExp(`\naccuracy +${Number(value(scores, "accuracy").toPrecision(4))} `));
    const fresh = await predict("new.fa", "--device", "cpu", "--batch", "16", "--json");
    assertEquals(fresh.events.map(({ event }) => event), ["start", ...tested.map(() => "prediction"), "done"]);
    assertEquals(fresh.events[1].class, "new");
    // By id: predicted class and probabilities.
    const shownRows = (rows: readonly string[][]) => new Map(rows.map(([id, , ...rest]) => [id, rest.join(" ")]));
    assertEquals(shownRows(await said(`${folder}/p/predictions.csv`)), shownRows(before));
    await Deno.writeFile(
      `${folder}/cut.safetensors`,
      (await Deno.readFile(`${out}/classifier.safetensors`)).slice(0, 99),
    );
    await write(folder, { "broken/classifier.safetensors": "no classifier" });
    const refused: [args: string[], message: string][] = [
      [["--checkpoint", out, "--epochs", "2"], "--epochs changes nothing where --checkpoint is a classifier"],
      [["--checkpoint", out, "--positive", "x"], '--positive cannot be "x": the classes are motif and other'],
      [["--checkpoint", `${folder}/broken`], "broken/classifier.safetensors: Cannot read safetensors"],
      [["--checkpoint", `${folder}/cut.safetensors`], "cut.safetensors: Cannot read safetensors"],
      [["--compare-scratch"], "--compare-scratch compares with what a run of train learned"],
      [["--folds", "3", "--fold", "1"], "--fold names one test part, --folds takes each in turn"],
      [["--folds", "401"], "Cannot cut 800 sequences into 401 folds: the class motif has 400; give fewer folds"],
    ];
    for (const [more, message] of refused) {
      const { code, stderr } = await runMain("classify", "--data", `${folder}/set`, ...more);
      assertEquals([code > 0, stderr.trim().split("\n").length], [true, 1], stderr);
      assertStringIncludes(stderr, message);
    }
    const generated = await runMain("generate", "--checkpoint", `${out}/classifier.safetensors`);
    assertStringIncludes(generated.stderr, "this is a classifier; predict with it by deno task classify");

    // Two folds, pretrained and from scratch.
    const few = plantedMotif(48, 32).map(({ id, tokens, label }) => `${id},${lettersOf(tokens)},${label}\n`).join("");
    await write(folder, { "few.csv": `id,sequence,label\n${few}` });
    const compared = await runMain(
      ...["classify", "--data", `${folder}/few.csv`, "--out", `${folder}/folds`, ...QUICK, "--json"],
      ...["--checkpoint", `${folder}/run`, "--compare-scratch", "--folds", "2", "--epochs", "1"],
    );
    assertEquals(compared.code, 0, compared.stderr);
    const trials = compared.events.filter(({ event }) => event === "test");
    assertEquals(trials.map(({ fold, entry }) => `${fold} ${entry}`), [
      "0 pretrained",
      "0 from scratch",
      "1 pretrained",
      "1 from scratch",
    ]);
    const summary = compared.events.find(({ event }) => event === "summary") as unknown as TrialSummary;
    const losses = trials.map(({ scores }) => (scores as { name: string; value: number }[])[0].value);
    assertAlmostEquals(summary.entries.pretrained[0].mean, (losses[0] + losses[2]) / 2, 1e-12);
    assertAlmostEquals(summary.differences![0].mean, (losses[0] - losses[1] + losses[2] - losses[3]) / 2, 1e-12);
    assert(losses[0] !== losses[1], "they begin with other parameters");
    const all = await said(`${folder}/folds/predictions.csv`);
    assertEquals([all.length, new Set(all.map(([id]) => id)).size], [96, 48]);
    assertEquals(Object.groupBy(all, (row) => `${row[3]} ${row[4]}`)["from scratch 1"]!.length, 24);
    await assertRejects(() => Deno.stat(`${folder}/folds/classifier.safetensors`), Deno.errors.NotFound);
  }));

Deno.test("classify: means, deviations and paired differences over folds, by hand", () => {
  const trial = (fold: number, entry: string, accuracy: number, loss: number): Trial => ({
    fold,
    entry,
    scores: [{ name: "loss", value: loss }, { name: "accuracy", value: accuracy }],
    floors: { "commonest class": [{ name: "accuracy", value: 0.5 + fold / 10 }] },
  });
  const trials = [trial(0, "a", 0.8, 0.4), trial(0, "b", 0.7, 0.5), trial(1, "a", 0.9, 0.2), trial(1, "b", 0.9, 0.3)];
  const { entries, floors, differences } = summarizeTrials(trials), [loss, accuracy] = differences!;
  assertAlmostEquals(entries.a[1].mean, 0.85, 1e-12);
  assertAlmostEquals(entries.a[1].deviation!, Math.sqrt(0.005), 1e-12);
  assertEquals([entries.b[1].min, entries.b[1].max, entries.b[1].count], [0.7, 0.9, 2]);
  assertAlmostEquals(floors["commonest class"][0].mean, 0.55, 1e-12);
  assertAlmostEquals(accuracy.mean, 0.05, 1e-12);
  assertAlmostEquals(accuracy.deviation!, Math.sqrt(0.005), 1e-12);
  assertEquals([accuracy.better, loss.better, loss.count], [1, 2, 2]);
  const table = trialTable({ entries, floors, differences }, "2 folds");
  assertMatch(
    table,
    /^accuracy +0\.8500 ± 0\.0707 +0\.8000 ± 0\.1414 +0\.0500 ± 0\.0707 \(better in 1 of 2\) +0\.5500 ±/m,
  );
  assertEquals(summarizeTrials(trials.slice(0, 1)).entries.a[0].deviation, undefined);
});

Deno.test("classify: what cannot be done is refused in one line", () =>
  withFolder(async (folder) => {
    await write(folder, {
      "one/a.fa": ">1\nACGTACGT\n",
      "two/a.fa": ">1\nACGTACGT\n".repeat(20),
      "two/b.fa": ">1\nACGTACGT\n".repeat(20),
      "three.csv": `sequence,label\n${"ACGTACGT,a\nACGTACGT,b\nACGTACGT,c\n".repeat(12)}`,
    });
    const cases: [args: string[], message: string][] = [
      [[], "classify needs texts or sequences: give --data PATH"],
      [["--data", `${folder}/none`], "as data of classify: there is no such file or folder; give one"],
      [["--data", `${folder}/one`], 'all are of "a", give two classes or more'],
      [["--data", `${folder}/two`, "--model", "cnn", "--width", "8"], "change nothing with --model cnn"],
      [["--data", `${folder}/two`, "--which", "best"], "--which changes nothing without --checkpoint"],
      [["--data", `${folder}/two`, "--positive", "c"], '--positive cannot be "c": the classes are a and b'],
      [["--data", `${folder}/three.csv`, "--positive", "c"], "--positive is for two classes, there are 3"],
      [["--data", `${folder}/two`, "--model", "bert"], '--model cannot be "bert"'],
      [["--data", `${folder}/two`, "--checkpoint", `${folder}/run`], "no checkpoint"],
    ];
    for (const [args, message] of cases) {
      const { code, stderr } = await runMain("classify", ...args);
      assertEquals([code, stderr.trim().split("\n").length], [2, 1], stderr);
      assertStringIncludes(stderr, message);
    }
    // Numbers that diverge, and a file that cannot be opened.
    await symbolicLink("nowhere", `${folder}/two/c.fa`);
    const wild = ["--data", `${folder}/two`, "--lr", "1e30", ...QUICK, ...SMALL, "--model", "lmm"];
    const { code, stderr } = await runMain("classify", ...wild, "--out", `${folder}/out`);
    assertMatch(
      stderr,
      /^skipped in \S+: c.fa \(a broken link\)\nerror: the (loss|gradient norm) .*became .*, and nothing was written: train again with a lower rate than --lr 1e\+30\n$/,
    );
    assertEquals(code, 1);
    await assertRejects(() => Deno.stat(`${folder}/out`), Deno.errors.NotFound);
  }));

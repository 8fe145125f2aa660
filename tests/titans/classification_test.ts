/** Classes of sequences: figures and regressions by hand, parts, rows, the head, and the floors of real promoters. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { Tensor } from "../../core/graph.ts";
import { ConfigError, type Score } from "../../titans/mod.ts";
import { classFigures, confusionOf } from "../../titans/tasks/classification/class_figures.ts";
import { classFloors } from "../../titans/tasks/classification/class_floors.ts";
import { classLogits } from "../../titans/tasks/classification/classification.ts";
import { cnn } from "../../titans/tasks/classification/cnn.ts";
import {
  batchesOf,
  foldsOf,
  type LabelledSequence,
  splitSequences,
  trainingBatches,
} from "../../titans/tasks/classification/labelled.ts";
import { LogisticRegression } from "../../titans/tasks/classification/logistic.ts";
import { NUCLEOTIDE_ALPHABET, placesOf, wordCounts } from "../../titans/tasks/dna/nucleotide_alphabet.ts";
import { lettersOf } from "../../titans/tasks/dna/nucleotides.ts";
import { sequencesOf } from "../../titans/tasks/dna/sequence_reader.ts";
import { ParameterLayout } from "../../titans/mod.ts";
import { readData, withData } from "./data_folder.ts";
import { dna, hasMotif, plantedMotif, tokensOf } from "./dna_data.ts";
import { reference } from "./runners.ts";

const valueOf = (scores: readonly Score[], name: string): number => scores.find((score) => score.name === name)!.value;

Deno.test("classes: accuracy, sensitivity, specificity, F1 and Matthews correlation, by hand", () => {
  // 8 of 10 positives and 27 of 30 negatives found.
  const figures = classFigures([[27, 3], [2, 8]]);
  const of = (name: string) => valueOf(figures, name);
  assertAlmostEquals(of("accuracy"), 0.875, 1e-12);
  assertAlmostEquals(of("sensitivity"), 0.8, 1e-12);
  assertAlmostEquals(of("specificity"), 0.9, 1e-12);
  assertAlmostEquals(of("f1"), 16 / 21, 1e-12);
  // The negatives: 27 of 30 found, of 29 that are called so.
  assertAlmostEquals(of("macroF1"), (16 / 21 + 54 / 59) / 2, 1e-12);
  assertAlmostEquals(of("matthewsCorrelation"), (216 - 6) / Math.sqrt(11 * 10 * 30 * 29), 1e-12);
  assertAlmostEquals(of("matthewsCorrelation"), 0.679, 5e-4);
  const [low, high] = figures[0].interval!;
  assert(low > 0.73 && low < 0.75 && high > 0.94 && high < 0.95, `${low} .. ${high}`);
  // With the other class as the positive one, the two change places.
  const other = classFigures([[27, 3], [2, 8]], 0);
  assertEquals([valueOf(other, "sensitivity"), valueOf(other, "specificity")], [of("specificity"), of("sensitivity")]);
  assertAlmostEquals(valueOf(other, "matthewsCorrelation"), of("matthewsCorrelation"), 1e-12);
  // Of three classes: all right, and always the first of them.
  assertEquals(valueOf(classFigures([[2, 0, 0], [0, 3, 0], [0, 0, 4]]), "matthewsCorrelation"), 1);
  const first = classFigures(confusionOf([0, 0, 1, 2], [0, 0, 0, 0], 3));
  assertEquals([valueOf(first, "accuracy"), valueOf(first, "matthewsCorrelation")], [0.5, 0]);
  assertAlmostEquals(valueOf(first, "macroF1"), 2 / 3 / 3, 1e-12);
});

Deno.test("classes: the oracle of a planted motif is always right, and the commonest class is chance", () => {
  const data = splitSequences(dna(plantedMotif(400, 60)), 4),
    labels = data.test.map(({ label }) => data.classes.indexOf(label));
  const oracle = data.test.map((one) => data.classes.indexOf(hasMotif(one)));
  const figures = classFigures(confusionOf(labels, oracle, 2));
  for (const { value } of figures) assertEquals(value, 1);
  const floors = classFloors(data);
  assertEquals(Object.keys(floors), ["commonest class", "4-mer logistic", "position logistic"]);
  assertEquals(valueOf(floors["commonest class"], "accuracy"), 0.5);
  assert(valueOf(floors["4-mer logistic"], "accuracy") > 0.6, "words of the motif show it");
});

Deno.test("classes: of folds each sequence is tested once, and never trained on where it is tested", () => {
  const all = plantedMotif(46, 20),
    folds = foldsOf(dna(all), 3),
    ids = (list: readonly LabelledSequence[]) => list.map(({ id }) => id);
  assertEquals(folds.flatMap(({ test }) => ids(test)).sort(), ids(all).sort());
  for (const { train, validation, test } of folds) {
    assertEquals(new Set(ids([...train, ...validation, ...test])).size, 46);
    // 23 of each class: 8 or 7 of them in a fold.
    assertEquals(Object.values(Object.groupBy(test, ({ label }) => label)).map((own) => own!.length >= 7), [
      true,
      true,
    ]);
  }
  const named = [...all, { ...all[0], split: "test" } as const];
  assertThrows(() => foldsOf(dna(named), 3), ConfigError, "the data names a test part itself; leave --folds out");
  assertThrows(() => foldsOf(dna(all), 24), ConfigError, "into 24 folds: the class motif has 23; give fewer folds");
});

Deno.test("classes: a logistic regression is the minimum that can be worked out", () => {
  // No features: the bias alone, which makes the shares of the classes.
  const nothing = { features: [], values: [] }, samples = [nothing, nothing, nothing];
  const bias = LogisticRegression.fit({ samples, labels: [1, 1, 0], features: 1, classes: 2 });
  assertEquals([bias.predict(nothing)], [1]);
  // One feature of +1 and -1: the odds of w = 2 sigma(-w) satisfy the penalty.
  const at = (value: number) => ({ features: [0], values: [value] });
  const one = LogisticRegression.fit({ samples: [at(1), at(-1)], labels: [1, 0], features: 1, classes: 2 });
  let w = 1;
  for (let i = 0; i < 100; i++) w = 0.5 * w + 1 / (1 + Math.exp(w));
  assertAlmostEquals(one.logits(at(1))[0], w, 1e-4);
  assertAlmostEquals(one.logits(at(0))[0], 0, 1e-4);
  const three = LogisticRegression.fit({
    samples: [0, 1, 2].map((feature) => ({ features: [feature], values: [3] })),
    labels: [0, 1, 2],
    features: 3,
    classes: 3,
  });
  assertEquals([0, 1, 2].map((feature) => three.predict({ features: [feature], values: [1] })), [0, 1, 2]);
});

Deno.test("classes: features are words of four without N, and nucleotides at places", () => {
  const counts = wordCounts({ tokens: tokensOf("AAAAANACGT") });
  assertEquals([[...counts.features as Uint32Array], [...counts.values as Uint32Array]], [[0, 0b00011011], [2, 1]]);
  assertEquals([...placesOf({ tokens: tokensOf("CNT") }).features as Uint32Array], [1, 11]);
});

Deno.test("classes: data without parts is cut by number within each class, and parts that are given are kept", () => {
  const one = (label: string, i: number, split?: "train" | "test"): LabelledSequence => ({
    id: `${label}${i}`,
    tokens: tokensOf("ACGTACGT"),
    label,
    ...(split ? { split } : {}),
  });
  const plain = ["b", "a"].flatMap((label) => Array.from({ length: 30 }, (_, i) => one(label, i)));
  const { train, validation, test, classes } = splitSequences(dna(plain), 4);
  assertEquals([classes, train.length, validation.length, test.length], [["a", "b"], 44, 4, 12]);
  assertEquals(test.slice(0, 3).map(({ id }) => id), ["a4", "a9", "a14"]);
  assertEquals(splitSequences(dna(plain), 0).test[1].id, "a5");
  const given = plain.map((each, i) => ({ ...each, split: i % 2 === 0 ? "train" as const : "test" as const }));
  assertEquals(splitSequences(dna(given), 4).test.length, 30);
  assertThrows(() => splitSequences(dna(plain.slice(0, 30)), 4), ConfigError, 'all are of "b", give two classes');
  assertThrows(
    () => splitSequences(dna(plain.slice(28, 32)), 4),
    ConfigError,
    "there are none for the validation part",
  );
});

Deno.test("classes: rows are cut or filled up, each epoch has each sequence once, and what is replaced is seeded", () => {
  const data = splitSequences(dna(plantedMotif(100, 20)), 4), rows = 8, length = 24;
  const read = (augmentation: Partial<Parameters<typeof trainingBatches>[2]> = {}, cut = length) =>
    trainingBatches(data, { rows, length: cut }, {
      seed: 1,
      reverseComplement: false,
      tokenDropout: 0,
      ...augmentation,
    });
  const lettersAt = (batch: { tokens: ArrayLike<number> }, row: number, width = length) =>
    lettersOf(Array.prototype.slice.call(batch.tokens, row * width, (row + 1) * width));
  const seen = new Map<string, number>(), whole = read();
  for (let step = 0; step < data.train.length; step++) {
    for (let row = 0; row < rows; row++) {
      const letters = lettersAt(whole.batch(step), row);
      assert(letters.endsWith("----") && !letters.slice(0, 20).includes("-"));
      seen.set(letters, (seen.get(letters) ?? 0) + 1);
    }
  }
  assertEquals([seen.size, new Set(seen.values()).size, [...seen.values()][0]], [data.train.length, 1, rows]);
  assertEquals(lettersAt(read({}, 16).batch(0), 0, 16), lettersAt(whole.batch(0), 0).slice(0, 16));
  assertEquals(read({ tokenDropout: 0.5 }).batch(3), read({ tokenDropout: 0.5 }).batch(3));
  const dropped =
    Array.from({ length: 50 }, (_, step) => [...read({ tokenDropout: 0.1 }).batch(step).tokens as Int32Array])
      .flat().filter((token) => token === 4).length;
  assert(dropped > 600 && dropped < 1000, `${dropped} of 8,000 nucleotides`);
  const [first] = batchesOf(dna(data.test), data.classes, { rows: 24, length });
  assertEquals([...first.counts as Float32Array], Array.from({ length: 24 }, (_, i) => i < data.test.length ? 1 : 0));
});

Deno.test("classes: logits are means over nucleotides, in which padding has no part; the convolutional network pools alike", async () => {
  const output = { shape: [1, 4, 2], data: Float32Array.of(1, 2, 3, 6, 100, 100, 100, 100) };
  const tokens = { shape: [1, 4], dtype: "i32" as const, data: Int32Array.of(0, 4, 5, 5) };
  const logits = await reference((output: Tensor, tokens: Tensor) => classLogits(output, tokens, NUCLEOTIDE_ALPHABET), [
    output,
    tokens,
  ]);
  assertEquals([logits.shape, Array.from(logits.data)], [[1, 2], [2, 4]]);
  const layer = cnn(24, 3, NUCLEOTIDE_ALPHABET),
    layout = new ParameterLayout<Parameters<typeof layer.apply>[0]>(layer.parameters);
  const flat = { shape: [layout.size], data: layout.pack(layout.initialize(1)) };
  const of = async (letters: string): Promise<number[]> => {
    const data = Int32Array.from(tokensOf(letters.padEnd(24, "N")));
    data.fill(5, letters.length);
    const run = (flat: Tensor, tokens: Tensor) => layer.apply(layout.unflatten(flat), tokens);
    const { data: logits } = await reference(run, [flat, { shape: [1, 24], dtype: "i32" as const, data }]);
    return Array.from(logits);
  };
  const short = await of("ACGTTGCA"), longer = await of("ACGTTGCAACGTACGA");
  assertEquals(short.length, 3);
  assert(short.some((value, i) => Math.abs(value - longer[i]) > 1e-6));
  assertThrows(
    () => cnn(7, 2, NUCLEOTIDE_ALPHABET),
    ConfigError,
    "of 7 nucleotides by the convolutional network: it takes 8 at least",
  );
});

async function sequences(name: string, label: string): Promise<LabelledSequence[]> {
  return sequencesOf({ name, bytes: await readData(`dna/${name}`) }).map((record) => ({ ...record, label }));
}

withData(
  "classes: floors of the promoters of Arabidopsis and E. coli, and the commonest class of splice sites",
  async () => {
    const floorsOf = async (negative: string, positive: string) => {
      const all = [...await sequences(negative, "no"), ...await sequences(positive, "yes")];
      const data = splitSequences(dna(all), 4), floors = classFloors(data);
      const digits = (name: string) =>
        [valueOf(floors[name], "accuracy"), valueOf(floors[name], "matthewsCorrelation")].map((value) =>
          value.toFixed(3).slice(1)
        );
      return [
        all.length,
        data.test.length,
        digits("commonest class")[0],
        ...digits("4-mer logistic"),
        ...digits("position logistic"),
      ];
    };
    // The minimum with a penalty of 1, which numpy's Newton steps find too.
    assertEquals(await floorsOf("Arabidopsis_non_prom.fa", "Arabidopsis_tata.fa"), [
      4376,
      874,
      ".658",
      ".916",
      ".815",
      ".934",
      ".852",
    ]);
    assertEquals(await floorsOf("Ecoli_non_prom.fa", "Ecoli_prom.fa"), [
      3839,
      767,
      ".782",
      ".910",
      ".728",
      ".892",
      ".674",
    ]);
    const splice = new TextDecoder().decode(await readData("dna/uci-splice.arff"));
    const labels = splice.split("\n").flatMap((line) => {
      const fields = line.trim().split(",");
      return fields.length === 62 && !line.startsWith("@") ? [fields[61]] : [];
    });
    const counts = ["EI", "IE", "N"].map((name) => labels.filter((label) => label === name).length);
    assertEquals(counts, [767, 768, 1655]);
    assertEquals((1655 / labels.length).toFixed(3), "0.519");
  },
);

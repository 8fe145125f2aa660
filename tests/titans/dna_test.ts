/** The task `dna`: windows of genomes, Markov chains by hand, and a model that learns one. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { requestDevice } from "../../kernels/mod.ts";
import {
  ConfigError,
  defineConfig,
  defineOptimizer,
  evaluateTask,
  Model,
  SampleRandom,
  taskFiles,
  Trainer,
} from "../../titans/mod.ts";
import { dna, DNA_OPTIONS } from "../../titans/tasks/mod.ts";
import { defaultsOf } from "../../titans/options/option_table.ts";
import { Genome } from "../../titans/tasks/dna/genome.ts";
import { MarkovChain, markovOrders } from "../../titans/tasks/dna/markov.ts";
import { lettersOf, reverseComplement } from "../../titans/tasks/dna/nucleotides.ts";
import { packing } from "../../titans/tasks/dna/packed.ts";
import { TINY } from "./builders.ts";
import { readData, withData } from "./data_folder.ts";
import { chainFasta, randomLetters, tokensOf } from "./dna_data.ts";

/** A file as the task gets it. */
function packed(bytes: Uint8Array | string, name = "a.fa") {
  const reading = packing(name, {});
  reading.add(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
  return { name, bytes: reading.end() };
}

const lettersIn = (genome: Genome, split: "train" | "validation" | "test") =>
  [...genome.pieces(split, Infinity)].map(lettersOf);

Deno.test("dna: gaps and ends of records are never crossed, short runs of N are kept, and parts follow each other", () => {
  const gap = "N".repeat(16), text = `>a\nNNACGTNNACGT${gap}CCCCCCNN\n>b\nGGGGGGGG\n`;
  const genome = new Genome([packed(text)], 0.2);
  // 24 nucleotides without gaps: 18 to train on, 3 and 3 held out.
  assertEquals(genome.length, 24);
  assertEquals(lettersIn(genome, "train"), ["ACGTNNACGT", "CCCCCC", "GG"]);
  assertEquals([lettersIn(genome, "validation"), lettersIn(genome, "test")], [["GGG"], ["GGG"]]);
  assertThrows(() => new Genome([packed(">a\nAC\n")], 0.1), ConfigError, "the train part, of a held-out share of 0.1");
});

Deno.test("dna: windows that are held out predict each nucleotide once; those of training are of both strands", () => {
  const random = new SampleRandom(3, "genome"), letters = randomLetters(random, 997);
  const genome = new Genome([packed(`>a\n${letters}\n`)], 0.3), [test] = lettersIn(genome, "test"), width = 21;
  assertEquals(letters.endsWith(test), true);
  const count = genome.countOf("test", width), windows: string[] = [];
  for (let i = 0; i < count; i++) {
    const row = new Int32Array(width);
    genome.heldOut("test", i, row);
    windows.push(lettersOf(row).replaceAll("-", ""));
  }
  assertEquals(count, Math.ceil((test.length - 1) / 20));
  windows.sort((a, b) => test.indexOf(a) - test.indexOf(b));
  assertEquals(windows[0] + windows.slice(1).map((window) => window.slice(1)).join(""), test);
  const [train] = lettersIn(genome, "train"), places = new Set<number>();
  let reversed = 0;
  for (let i = 0; i < 400; i++) {
    const row = new Int32Array(width);
    genome.draw(row, new SampleRandom(0, `window ${i}`), true);
    if (!train.includes(lettersOf(row))) {
      reversed++;
      reverseComplement(row);
    }
    assert(train.includes(lettersOf(row)));
    places.add(train.indexOf(lettersOf(row)));
  }
  assert(reversed > 150 && reversed < 250, `${reversed} of 400 are of the other strand`);
  assert(places.size > 250, "from many places");
  genome.draw(new Int32Array(2000), new SampleRandom(0, "long"), true);
});

Deno.test("dna: Markov chains fall back on lower orders, as worked out by hand", () => {
  const chain = new MarkovChain(1, [tokensOf("AACA")]);
  // Order 0: A 3 of 4, so (3 + 1) / 8; order 1, after A one A and one C: (1 + 4 / 2) / (2 + 4).
  const { bits, count } = chain.bits(tokensOf("AA"));
  assertEquals(count, 1);
  assertAlmostEquals(bits[0], 1, 1e-12);
  assertAlmostEquals(bits[1], -Math.log2((1 + 4 * 0.5) / 6), 1e-12);
  // T never came: order 0 gives 1 / 8, order 1 after A 4 / 8 / 6, after an N order 0 is all there is.
  assertAlmostEquals(chain.bits(tokensOf("AT")).bits[1], -Math.log2(0.5 / 6), 1e-12);
  assertAlmostEquals(chain.bits(tokensOf("NT")).bits[1], 3, 1e-12);
  assertEquals(new MarkovChain(3, []).bits(tokensOf("ACGTN")).bits[3], 6);
  assertEquals([markovOrders(20), markovOrders(48_502), markovOrders(4_600_000)], [[0, 2], [0, 2, 5], [
    0,
    2,
    5,
    8,
    11,
  ]]);
});

Deno.test("dna: an LMM learns a chain of order two, beyond chance and order 0, and is measured in bits per nucleotide", async () => {
  const options = { ...defaultsOf(DNA_OPTIONS), data: "a.fa", length: 32, reverseComplement: false };
  const task = dna.create(options, taskFiles({ "a.fa": [packed(chainFasta(6000))] }));
  const device = await requestDevice({ kind: "cpu" });
  const model = new Model(defineConfig({ ...TINY, model: "lmm", ...task.requires, blocks: 1 }));
  const optimizer = defineOptimizer({ learningRate: 2e-2, warmupSteps: 4, totalSteps: 80 });
  const trainer = await Trainer.create(device, {
    model,
    optimizer,
    objective: task,
    shape: { batch: 8, length: 32 },
    seed: 0,
  });
  await trainer.run(task.batches("train", 8, 0), 80);
  const scores = await evaluateTask(device, { model, params: trainer.params, task, samples: 8, batch: 8 });
  const bits = scores.find(({ name }) => name === "bitsPerNucleotide")!, floors = task.floors!(8);
  assertEquals(bits.chance, 2);
  const floor = (order: number) => floors[`Markov order ${order}`].find(({ name }) => name === "bitsPerNucleotide")!;
  assert(bits.value < 1.6 && floor(0).value > 1.9, `${bits.value} bits per nucleotide, order 0 ${floor(0).value}`);
  // 0.85 of the next nucleotides are the likely one: 1.09 bits is what there is to know.
  assert(floor(2).value > 0.9 && floor(2).value < 1.25, `order 2 ${floor(2).value}`);
  trainer.dispose();
  device.dispose();
});

withData("dna: Markov chains of lambda phage have the bits per nucleotide of an independent count", async () => {
  const file = packed(await readData("dna/lambda_virus.fa"), "lambda_virus.fa"), genome = new Genome([file], 0.1);
  assertEquals(genome.length, 48_502);
  const options = { ...defaultsOf(DNA_OPTIONS), data: "x" }, task = dna.create(options, taskFiles({ x: [file] }));
  const floors = task.floors!(10_000), bits = Object.values(floors).map((scores) => scores[1]);
  assertEquals(bits.map(({ count }) => count), [2425, 2425, 2425]);
  // Counted once more in Python. Within the whole genome, contexts of three and four nucleotides leave 1.950 and 1.935.
  assertEquals(bits.map(({ value }) => value.toFixed(4)), ["2.0007", "1.9849", "2.0201"]);
});

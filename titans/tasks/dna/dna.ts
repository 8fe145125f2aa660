/**
 * The next nucleotide of genomes, which is what models of DNA are pretrained on. Sequences are read from FASTA and FASTQ;
 * a token is a nucleotide, and what is predicted is one of A, C, G and T: N and padding do not count.
 *
 *     read  A C G T N A   predicted  C G T . A G
 */
import type { Tensor } from "../../../core/graph.ts";
import { spec } from "../../../core/trace.ts";
import { cast, crossEntropy, greater, minimum, mul, sliceAxis, sum } from "../../../ops/mod.ts";
import type { OptionsOf, OptionTable } from "../../options/option_table.ts";
import type { BatchArrays } from "../../train/objective.ts";
import { filesOf } from "../files.ts";
import { SampleRandom, splitSeed } from "../samples.ts";
import { defineTask, type Score, type Split, type Task, type TaskBatches, type TaskInstance } from "../task.ts";
import { GAP, Genome } from "./genome.ts";
import { KNOWN, NUCLEOTIDES, PADDING } from "./nucleotides.ts";
import { MarkovChain, markovOrders, MOST_COUNTED } from "./markov.ts";
import { packing } from "./packed.ts";

/** Options of {@link dna}. */
export const DNA_OPTIONS = {
  data: {
    kind: "text",
    placeholder: "PATH",
    default: "",
    help: "FASTA or FASTQ, also gzipped: a file, or a folder of such files",
  },
  length: { kind: "integer", default: 256, min: GAP, max: 2 ** 20, help: "nucleotides of a window" },
  heldOut: {
    kind: "number",
    default: 0.1,
    min: 0,
    aboveMin: true,
    max: 0.9,
    help: "share at the end that is not trained on: half of it is validated on, half tested on",
  },
  reverseComplement: {
    kind: "toggle",
    default: true,
    help: "whether half of the windows of training are of the other strand",
  },
  minQuality: {
    kind: "integer",
    default: 0,
    min: 0,
    max: 93,
    help: "nucleotides of FASTQ of a lower quality (Phred) are read as N",
  },
} as const satisfies OptionTable;

/** The fields of {@link dna}. */
export interface DnaBatch extends Record<string, Tensor> {
  /** Windows and the nucleotide after, i32 [B, T + 1]. */
  readonly tokens: Tensor;
}

/** Next-nucleotide prediction. */
export const dna: Task<typeof DNA_OPTIONS, DnaBatch> = defineTask({
  name: "dna",
  summary: "the next nucleotide of genomes, from FASTA or FASTQ",
  options: DNA_OPTIONS,
  reads: ["data"],
  reading: packing,
  create: (options, files): TaskInstance<DnaBatch> => {
    const found = filesOf("dna", { option: "data", path: options.data, files });
    return dnaInstance(new Genome(found, options.heldOut), options);
  },
});

function dnaInstance(genome: Genome, options: OptionsOf<typeof DNA_OPTIONS>): TaskInstance<DnaBatch> {
  const { length } = options, batches = windowBatches(genome, options), floors = new MarkovFloors(genome);
  return {
    requires: { vocabulary: NUCLEOTIDES.length, outputs: KNOWN },
    length,
    fields: (length) => ({ tokens: spec([length + 1], "i32") }),
    batches,
    input: ({ tokens }) => {
      const read = sliceAxis(tokens, 1, 0, tokens.shape[1] - 1);
      return { tokens: read, update: cast(greater(PADDING, read), "f32") };
    },
    loss: (output, { tokens }) => {
      const targets = sliceAxis(tokens, 1, 1, tokens.shape[1] - 1), counts = cast(greater(KNOWN, targets), "f32");
      const losses = crossEntropy(output, minimum(targets, KNOWN - 1), { reduction: "none" });
      return { sum: sum(mul(losses, counts)), weight: sum(counts) };
    },
    derived: (loss) => ({ bitsPerNucleotide: loss / Math.LN2 }),
    chance: { loss: Math.log(KNOWN), bitsPerNucleotide: Math.log2(KNOWN) },
    baselines: {
      names: floors.orders.map(nameOf),
      measure: (given) => {
        const { bits, count } = floors.measure(given, length + 1);
        return Object.fromEntries(floors.orders.map((order) => [nameOf(order), bits[order] / count]));
      },
    },
    floors: (samples) => {
      const { bits, count } = floors.measure([batches("test", samples, 0).batch(0)], length + 1);
      const scores = (order: number): Score[] => {
        const value = bits[order] / count;
        return [
          { name: "loss", value: value * Math.LN2, count },
          { name: "bitsPerNucleotide", value, count },
        ];
      };
      return Object.fromEntries(floors.orders.map((order) => [`Markov order ${order}`, scores(order)]));
    },
  };
}

/** Windows: of training at random places, of what is held out each once, and then padding alone. */
function windowBatches(
  genome: Genome,
  { length, reverseComplement }: OptionsOf<typeof DNA_OPTIONS>,
): (split: Split, rows: number, seed: number) => TaskBatches<DnaBatch> {
  const width = length + 1;
  return (split, rows, seed) => ({
    batch: (step, { first, count } = { first: 0, count: rows }): BatchArrays<DnaBatch> => {
      const tokens = new Int32Array(count * width).fill(PADDING);
      for (let i = 0; i < count; i++) {
        const row = tokens.subarray(i * width, (i + 1) * width), number = step * rows + first + i;
        if (split === "train") {
          genome.draw(row, new SampleRandom(splitSeed(split, seed), `dna ${number}`), reverseComplement);
        } else if (number < genome.countOf(split, width)) genome.heldOut(split, number, row);
      }
      return { tokens };
    },
  });
}

/** The figure of a Markov chain beside those of a validation. */
function nameOf(order: number): string {
  return `markov${order}BitsPerNucleotide`;
}

/** The Markov chains of what is trained on, counted when they are first asked for. */
class MarkovFloors {
  readonly orders: readonly number[];
  readonly #genome: Genome;
  #chain: MarkovChain | undefined;

  constructor(genome: Genome) {
    this.#genome = genome;
    this.orders = markovOrders(genome.lengthOf("train"));
  }

  /** Bits of all windows by order, and of how many nucleotides. */
  measure(given: readonly BatchArrays<DnaBatch>[], width: number): { bits: Float64Array; count: number } {
    const chain = this.#chain ??= this.#counted(), bits = new Float64Array(chain.order + 1);
    let count = 0;
    for (const { tokens } of given) {
      for (let start = 0; start < tokens.length; start += width) {
        const own = chain.bits(tokens.subarray(start, start + width));
        own.bits.forEach((value, order) => bits[order] += value);
        count += own.count;
      }
    }
    return { bits, count };
  }

  #counted(): MarkovChain {
    return new MarkovChain(this.orders[this.orders.length - 1], this.#genome.pieces("train", MOST_COUNTED));
  }
}

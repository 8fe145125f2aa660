/** Training of `forecast` and `classify`, killed: what they write must be the bytes of a run that nobody stopped. */
import { assert, assertEquals } from "@std/assert";
import { decodeSafetensors } from "../../titans/mod.ts";
import { lettersOf } from "../../titans/tasks/dna/nucleotides.ts";
import { plantedMotif } from "../titans/dna_data.ts";
import { type Ended, loseEnd, namesIn, runAndEnd } from "./kill.ts";
import type { Random } from "./random.ts";
import { checkEnd, type Phase, type Scenario } from "./scenario.ts";

/** What is trained: a table of series, and classes in two folds, of which each is a training. */
const VARIANTS = [
  {
    command: "forecast",
    flags: ["--lookback", "16", "--horizon", "4", "--epochs", "6", "--lr", "0.02", "--patience", "6"],
    results: ["forecast.csv", "report.html"],
  },
  {
    command: "classify",
    flags: ["--model", "cnn", "--folds", "2", "--batch", "16", "--epochs", "3"],
    results: ["predictions.csv"],
  },
] as const;

/** How many kinds of runs there are. */
export const FIT_COUNT = VARIANTS.length;

/** A run that nobody stopped. */
export interface WholeFit {
  readonly variant: number;
  readonly folder: string;
}

function firstFlags(root: string, variant: number, run: string): string[] {
  const { command, flags } = VARIANTS[variant], data = command === "forecast" ? "series.csv" : "motifs.csv";
  return [command, "--device", "cpu", "--data", `${root}/${data}`, "--out", run, "--checkpoint-every", "4", ...flags];
}

/** Writes what is learned from, and trains without interruption. */
export async function fitWhole(root: string, variant: number): Promise<WholeFit> {
  const rows = Array.from({ length: 900 }, (_, i) => `${(5 * Math.sin(i / 5)).toFixed(3)},${i % 7}`);
  await Deno.writeTextFile(`${root}/series.csv`, `a,b\n${rows.join("\n")}\n`);
  const motifs = plantedMotif(200, 32).map(({ tokens, label }) => `${lettersOf(tokens)},${label}`);
  await Deno.writeTextFile(`${root}/motifs.csv`, `sequence,label\n${motifs.join("\n")}\n`);
  const folder = `${root}/whole-fit-${variant}`;
  checkEnd(await runAndEnd([...firstFlags(root, variant, folder), "--json"], undefined, { startMs: 0 }));
  return { variant, folder };
}

/** A run that is stopped again and again. */
export class Fitting implements Scenario {
  readonly name: string;
  readonly work = "start";
  readonly workMs = 1500;
  readonly largestFile = 60_000;
  readonly #root: string;
  readonly #run: string;
  readonly #whole: WholeFit;
  #isComplete = false;
  /** The steps of the states that were seen, by their file. */
  #steps: Readonly<Record<string, number>> = {};

  constructor(root: string, run: string, whole: WholeFit) {
    this.name = `${VARIANTS[whole.variant].command}, ${run}`;
    this.#root = root;
    this.#run = `${root}/${run}`;
    this.#whole = whole;
  }

  async next(): Promise<readonly string[] | undefined> {
    if (this.#isComplete) return undefined;
    const begun = await Deno.stat(`${this.#run}/config.json`).then(() => true, () => false);
    const { command } = VARIANTS[this.#whole.variant];
    return begun
      ? [command, "--resume", "--out", this.#run, "--device", "cpu", "--checkpoint-every", "4", "--json"]
      : [...firstFlags(this.#root, this.#whole.variant, this.#run), "--json"];
  }

  async check(ended: Ended): Promise<Phase> {
    checkEnd(ended);
    const { kind, events, stderr } = ended,
      names = await namesIn(this.#run),
      { command } = VARIANTS[this.#whole.variant];
    if ((kind === "SIGINT" || kind === "SIGTERM") && events.length > 0) {
      const [line, step] = /^stopped at step (\d+); continue with: (.*)\n$/.exec(stderr)?.slice(1).toReversed() ?? [];
      assertEquals(line, `deno task ${command} --resume --out ${this.#run}`, stderr);
      assert(Number(step) >= 0);
      assertEquals(names.filter((name) => name.endsWith(".part") || name.endsWith(".lock")), []);
    }
    const config = await Deno.readTextFile(`${this.#run}/config.json`).catch(() => "{}");
    this.#isComplete = JSON.parse(config).complete === true;
    const states = names.filter((name) => name.endsWith("tensors") && name !== "classifier.safetensors");
    const steps = Object.fromEntries(await Promise.all(states.map(async (name) => [name, await this.#stepOf(name)])));
    if (!this.#isComplete) {
      for (const [name, step] of Object.entries(this.#steps)) {
        assert(steps[name] >= step, `the state of step ${step} in ${name} is lost: it is of step ${steps[name]}`);
      }
    }
    this.#steps = steps;
    const isWriting = names.some((name) => name.endsWith("tensors.part")) || /cannot write \S+tensors:/.test(stderr);
    return isWriting ? "writing a checkpoint" : events.length > 0 ? "training" : "starting";
  }

  /** A state is on the disk before it has its name: only what has none yet can be lost. */
  async losePower(random: Random): Promise<void> {
    for (const name of await namesIn(this.#run)) {
      if (name.endsWith(".part")) await loseEnd(`${this.#run}/${name}`, 0, random);
    }
  }

  async compare(): Promise<void> {
    const { folder, variant } = this.#whole;
    for (const name of VARIANTS[variant].results) {
      const [found, whole] = await Promise.all([this.#run, folder].map((at) => Deno.readTextFile(`${at}/${name}`)));
      assert(found === whole, `${name} differs`);
    }
    const kept = (names: readonly string[]) => names.filter((name) => !/\.part$|\.lock$|^checkpoint/.test(name));
    assertEquals(kept(await namesIn(this.#run)), kept(await namesIn(folder)));
  }

  /** The step of a state; of a training that ended, infinity. @throws if the file is not whole. */
  async #stepOf(name: string): Promise<number> {
    const { metadata: { step = Infinity } } = decodeSafetensors(await Deno.readFile(`${this.#run}/${name}`));
    return Number(step);
  }
}

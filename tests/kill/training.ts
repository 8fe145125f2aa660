/** Training, killed: every run must come to the bytes of one that nobody stopped. */
import { assert, assertEquals } from "@std/assert";
import { decodeCheckpoint } from "../../titans/mod.ts";
import { metricsOf, someText } from "../cli/run_main.ts";
import { type Ended, loseEnd, namesIn, runAndEnd } from "./kill.ts";
import type { Random } from "./random.ts";
import { checkEnd, type Phase, type Scenario } from "./scenario.ts";

const STEPS = 40;
// Most of a process's time goes into compiling: a memory of one matrix takes the least.
const TINY = [
  "--device",
  "cpu",
  "--width",
  "16",
  "--blocks",
  "1",
  "--heads",
  "1",
  "--memory-depth",
  "1",
  "--mini-batch",
  "8",
  "--warmup",
  "0",
];

/** Kinds of runs: what they train, on what, and how often they save. */
const VARIANTS = [
  { every: 1, flags: ["--model", "lmm", "--eval-every", "16"] },
  { every: 2, flags: ["--model", "mac", "--segment", "8", "--eval-every", "3"] },
  { every: 1, flags: ["--model", "lmm", "--stream", "256", "--eval-every", "11"], jsonl: true },
] as const;

/** How many kinds of runs there are. */
export const VARIANT_COUNT = VARIANTS.length;

/** A run that nobody stopped. */
export interface WholeRun {
  readonly variant: number;
  readonly folder: string;
  readonly checkpoint: Uint8Array;
}

function flagsOf(root: string, variant: number, run: string): string[] {
  const { flags, every, ...rest } = VARIANTS[variant], text = "jsonl" in rest ? "text.jsonl" : "text.txt";
  const place = ["--data", `${root}/${text}`, "--cache", `${run}-cache`, "--out", run];
  return [
    "train",
    ...TINY,
    ...flags,
    ...place,
    "--steps",
    String(STEPS),
    "--checkpoint-every",
    String(every),
    "--eval-bytes",
    "64",
    "--sample-tokens",
    "8",
    "--json",
  ];
}

/** Writes the texts that are trained on. */
export async function writeTexts(root: string): Promise<void> {
  const text = someText(6000);
  await Deno.writeTextFile(`${root}/text.txt`, text);
  await Deno.writeTextFile(
    `${root}/text.jsonl`,
    text.split("\n").map((line) => JSON.stringify({ text: line })).join("\n"),
  );
}

/** Trains without interruption. */
export async function trainWhole(root: string, variant: number): Promise<WholeRun> {
  const folder = `${root}/whole-${variant}`;
  checkEnd(await runAndEnd(flagsOf(root, variant, folder), undefined, { startMs: 0 }));
  return { variant, folder, checkpoint: await Deno.readFile(`${folder}/checkpoint.safetensors`) };
}

/** A run that is stopped again and again. */
export class Training implements Scenario {
  readonly name: string;
  readonly work = "step";
  readonly workMs = 500;
  readonly largestFile: number;
  readonly #root: string;
  readonly #run: string;
  readonly #whole: WholeRun;
  /** The last step that any process reported. */
  #made = 0;
  /** The step of the last state that was seen. */
  #step = 0;
  /** The states as the last process found them. */
  #before: Readonly<Record<string, Uint8Array | undefined>> = {};

  constructor(root: string, run: string, whole: WholeRun) {
    this.name = `train ${VARIANTS[whole.variant].flags.slice(0, 2).join(" ")}, ${run}`;
    this.largestFile = whole.checkpoint.length;
    this.#root = root;
    this.#run = `${root}/${run}`;
    this.#whole = whole;
  }

  async next(): Promise<readonly string[] | undefined> {
    if (this.#step === STEPS) return undefined;
    for (const name of ["checkpoint", "best"]) {
      this.#before = { ...this.#before, [name]: await this.#read(`${name}.safetensors`) };
    }
    const begun = await Deno.stat(`${this.#run}/config.json`).then(() => true, () => false);
    return [...flagsOf(this.#root, this.#whole.variant, this.#run), ...begun ? ["--resume"] : []];
  }

  async check(ended: Ended): Promise<Phase> {
    checkEnd(ended);
    const { kind, events, stderr } = ended, names = await namesIn(this.#run);
    const step = await this.#stepOf("checkpoint"), best = await this.#stepOf("best");
    const made = events.filter(({ event }) => event === "step").map((event) => event.step as number).at(-1) ?? 0;
    // A state is kept once a step from it went well, before that is told.
    const { every } = VARIANTS[this.#whole.variant], kept = Math.max(0, Math.floor((made - 1) / every) * every);
    assert(
      step >= this.#step && step >= kept,
      `the checkpoint of step ${Math.max(this.#step, kept)} is lost: the checkpoint is of step ${step}`,
    );
    if (kind === "SIGINT" || kind === "SIGTERM") {
      if (made > 0) {
        assertEquals([step, stderr], [made, `continue with: deno task train --resume --out ${this.#run}\n`]);
        assertEquals(names.filter((name) => name.endsWith(".part") || name.endsWith(".lock")), []);
      }
    }
    await this.#checkMetrics(step);
    // The best state is written before the checkpoint: a process killed in between leaves it ahead for the next one.
    this.#made = Math.max(this.#made, made);
    assert(best <= Math.max(step, this.#made), `the best state is of step ${best}, which was never made`);
    this.#step = step;
    if (
      kind !== "SIGINT" && kind !== "SIGTERM" &&
      (names.some((name) => name.endsWith("tensors.part")) || /cannot write \S+tensors:/.test(stderr))
    ) {
      return "writing a checkpoint";
    }
    return events.length > 0 ? "training" : "starting";
  }

  async losePower(random: Random): Promise<void> {
    for (const name of await namesIn(this.#run)) {
      if (name.endsWith(".part")) await loseEnd(`${this.#run}/${name}`, 0, random);
    }
    // A move that was not on the disk yet: the states are those from before.
    if (random.chance(0.3)) {
      for (const [name, bytes] of Object.entries(this.#before)) {
        const path = `${this.#run}/${name}.safetensors`;
        await (bytes ? Deno.writeFile(path, bytes) : Deno.remove(path).catch(() => {}));
      }
      this.#step = await this.#stepOf("checkpoint");
    }
    // Metrics up to the state are on the disk before it.
    const metrics = await Deno.readTextFile(`${this.#run}/metrics.jsonl`).catch(() => "");
    let kept = 0;
    for (const line of metrics.split("\n").slice(0, -1)) {
      if (JSON.parse(line).step > this.#step) break;
      kept += line.length + 1;
    }
    await loseEnd(`${this.#run}/metrics.jsonl`, kept, random);
  }

  async compare(): Promise<void> {
    const { folder, checkpoint } = this.#whole;
    assertEquals(await metricsOf(this.#run), await metricsOf(folder), "the curves differ");
    assert(
      equalBytes(await Deno.readFile(`${this.#run}/checkpoint.safetensors`), checkpoint),
      "the last states differ",
    );
    assert(
      equalBytes(
        await Deno.readFile(`${this.#run}/best.safetensors`),
        await Deno.readFile(`${folder}/best.safetensors`),
      ),
      "the best states differ",
    );
    assertEquals(await Deno.readTextFile(`${this.#run}/config.json`), await Deno.readTextFile(`${folder}/config.json`));
    // A run that was killed between its last state and its page has the page of before.
    const names = (await namesIn(this.#run)).filter((name) =>
      !["report.html", "sample.txt", "report.html.part", "sample.txt.part", "run.lock"].includes(name)
    );
    assertEquals(names, ["best.safetensors", "checkpoint.safetensors", "config.json", "metrics.jsonl"]);
    // What a killed process left of a text that it prepared goes after a day.
    const cached = async (run: string): Promise<number> =>
      (await namesIn(`${run}-cache`)).filter((name) => !name.endsWith(".part")).length;
    assertEquals(await cached(this.#run), await cached(folder));
  }

  async #read(name: string): Promise<Uint8Array | undefined> {
    try {
      return await Deno.readFile(`${this.#run}/${name}`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  /** The step of a state, 0 if there is none. @throws if it is not whole. */
  async #stepOf(name: "checkpoint" | "best"): Promise<number> {
    const bytes = await this.#read(`${name}.safetensors`);
    return bytes ? decodeCheckpoint(bytes).state.step : 0;
  }

  /** Checks that every step up to the state is there, once. */
  async #checkMetrics(step: number): Promise<void> {
    const text = await Deno.readTextFile(`${this.#run}/metrics.jsonl`).catch(() => "");
    const steps = text.split("\n").slice(0, -1).filter((line) => line.includes('"event":"step"')).map((line) =>
      JSON.parse(line).step as number
    );
    assertEquals(steps.slice(0, step), Array.from({ length: step }, (_, i) => i + 1), "the metrics lack steps");
  }
}

function equalBytes(lhs: Uint8Array, rhs: Uint8Array): boolean {
  return lhs.length === rhs.length && lhs.every((byte, i) => byte === rhs[i]);
}

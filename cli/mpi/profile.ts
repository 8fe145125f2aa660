/** `profile` on ranks that MPI starts: measures sums and steps, for `plan --profile`. */
import { type Device, requestDevice } from "../../kernels/mod.ts";
import { requestAutomatic } from "../../kernels/request_device.ts";
import {
  type Collective,
  defineConfig,
  defineOptimizer,
  Model,
  type PresetName,
  PRESETS,
  SOLO,
  Trainer,
} from "../../titans/mod.ts";
import { gatherFloats } from "../../titans/train/collective.ts";
import { DEVICE_FLAGS, deviceOptions, OUTPUT_FLAGS } from "../common_flags.ts";
import { makeFolderOf, writeAtomic } from "../files.ts";
import { choice, integer, parseFlags, text, under } from "../flags.ts";
import type { Command } from "../help.ts";
import { KIND_FLAG, MODEL_FLAGS, modelOptions } from "../model_flags.ts";
import { fitSteps, fitSums, mean, type RankProfile, relative, type SumTime } from "../rank_profile.ts";
import { inWordsOf } from "../run_config.ts";
import type { Terminal } from "../terminal.ts";
import type { MachineShare } from "./threads.ts";

const FLAGS = {
  model: KIND_FLAG,
  preset: choice(Object.keys(PRESETS) as PresetName[], "size of the model", "nano"),
  ...DEVICE_FLAGS,
  ...OUTPUT_FLAGS,
  ...under("Step", {
    seqLen: integer("tokens per training sequence", 128, { min: 1, max: 2 ** 20 }),
    batch: integer("sequences of each rank, of which it also measures one alone", 4, { min: 2, max: 2 ** 16 }),
    repeats: integer("steps that are measured of each kind", 20, { min: 3 }),
    out: { ...text("FILE", "where the profile is written"), unless: "standard output" },
  }),
  ...MODEL_FLAGS,
} as const;

/** Bytes of the vectors that are summed. */
const SUM_BYTES = [4, 2 ** 16, 2 ** 22], SUM_REPEATS = 20;

/** The command `profile` on ranks. */
export function profileOn(ranks: Collective, share: MachineShare): Command {
  return {
    summary: "measure sums and steps of ranks, for `plan --profile`",
    description:
      "Measures, on all ranks at the same time, how long they take to add up vectors, and how long a step takes of which they share nothing, one that they share, and one that the first rank takes while the others sleep. `deno task plan --profile FILE --ranks N` makes of it what N ranks would take.",
    examples: [
      ["mpirun -n 2 --bind-to none deno task profile:mpi --model lmm --out runs/profile.json", "two ranks"],
    ],
    flags: FLAGS,
    run: (args, terminal) => profile(args, terminal, ranks, share),
  };
}

async function profile(
  args: readonly string[],
  terminal: Terminal,
  ranks: Collective,
  { threads, ranksHere }: MachineShare,
): Promise<number> {
  const { values } = parseFlags(args, FLAGS, "profile");
  const config = inWordsOf(values, () => defineConfig({ model: values.model, ...modelOptions(values) }, values.preset));
  const { kind, ...rest } = deviceOptions(values), options = { ...rest, threads: values.threads ?? threads };
  using device = kind === "auto" ? (await requestAutomatic(options)).device : await requestDevice({ kind, ...options });
  const model = new Model(config), times: SumTime[] = [];
  for (const sizeBytes of SUM_BYTES) times.push({ sizeBytes, seconds: await leastSeconds(ranks, sizeBytes) });
  const measure = new StepTimes(device, model, ranks, values);
  // In turns, so that what else the machine does hits all kinds alike; where that takes much memory, one by one.
  const isSmall = 16 * model.layout.size * KIND_NAMES.length < MOST_STATE_BYTES;
  for (const kinds of isSmall ? [KIND_NAMES] : KIND_NAMES.map((kind) => [kind])) await measure.take(kinds);
  const { one, own, alone, shared } = await measure.gathered(), rowTokens = values.seqLen;
  const found: RankProfile = {
    format: "mneme-rank-profile-2",
    ranks: ranks.size,
    ranksPerHost: ranksHere,
    model: String(model),
    parameters: model.layout.parameterCount,
    device: `${device.info.kind}: ${device.info.description}`,
    ...fitSums(times, ranks.size),
    ...fitSteps({ tokens: rowTokens, seconds: mean(one) }, { tokens: values.batch * rowTokens, seconds: mean(own) }),
    alone: mean(alone) / mean(own),
    steps: relative(own),
    shared: { tokens: values.batch * rowTokens, gradientBytes: 4 * model.layout.size, seconds: mean(shared) },
  };
  const shown = `${JSON.stringify(found, null, 2)}\n`;
  if (values.out === undefined) terminal.out(shown);
  else if (ranks.rank === 0) {
    await makeFolderOf(values.out, "--out");
    await writeAtomic(values.out, shown);
  }
  return 0;
}

/**
 * The kinds of steps that are measured: by how many rows of a rank, and how. A rank's own steps are halved as shared
 * ones are, and nothing is summed; the one that the first rank takes alone is that of one process.
 */
const KINDS = {
  one: { rows: "one", as: "own" },
  own: { rows: "all", as: "own" },
  alone: { rows: "all", as: "process" },
  shared: { rows: "all", as: "shared" },
} as const;

type Kind = keyof typeof KINDS;

const KIND_NAMES = Object.keys(KINDS) as Kind[];

/** Steps before those that are measured: engines compile WebAssembly anew while the first ones run. */
const WARM_UP = 10;

/** Bytes of weights, moments and gradients up to which all kinds have theirs at the same time. */
const MOST_STATE_BYTES = 2e9;

/** Measures steps of all kinds, on all ranks at the same time. */
class StepTimes {
  readonly #seconds: Readonly<Record<Kind, number[]>> = { one: [], own: [], alone: [], shared: [] };

  constructor(
    readonly device: Device,
    readonly model: Model,
    readonly ranks: Collective,
    readonly options: { readonly batch: number; readonly seqLen: number; readonly repeats: number },
  ) {}

  /** Measures some kinds in turns. */
  async take(kinds: readonly Kind[]): Promise<void> {
    const { ranks, options: { repeats } } = this;
    const trainers = new Map<Kind, Trainer>();
    for (const kind of kinds) trainers.set(kind, await this.#trainer(kind));
    for (let turn = -WARM_UP; turn < repeats; turn++) {
      for (const [kind, trainer] of trainers) {
        await ranks.barrier();
        const seconds = await this.#step(kind, trainer);
        if (turn >= 0) this.#seconds[kind].push(seconds);
      }
    }
    for (const trainer of trainers.values()) trainer.dispose();
  }

  #trainer(kind: Kind): Promise<Trainer> {
    const { as, rows } = KINDS[kind], { batch, seqLen: length } = this.options;
    const collective = as === "shared" ? this.ranks : SOLO;
    const shape = { batch: (rows === "one" ? 1 : batch) * collective.size, length }, optimizer = defineOptimizer({});
    const deterministic = as === "own" ? 1 : 0;
    return Trainer.create(this.device, { model: this.model, optimizer, shape, seed: 0, collective, deterministic });
  }

  /** The seconds of a step. */
  async #step(kind: Kind, trainer: Trainer): Promise<number> {
    const { batch, length } = trainer.shape, step = trainer.step, { vocabulary } = this.model.config;
    const tokens = Int32Array.from({ length: batch * (length + 1) }, (_, i) => (i * i + step) % vocabulary);
    const begun = performance.now(), past = (): number => (performance.now() - begun) / 1000;
    if (KINDS[kind].as !== "process" || this.ranks.rank === 0) {
      await trainer.run({ batch: () => tokens }, 1);
      return past();
    }
    // Ranks that wait in the library keep their core busy. They sleep for about as long as the first one computes.
    await new Promise((resolve) => setTimeout(resolve, 1000 * (this.#seconds.own.at(-1) ?? 0)));
    return past();
  }

  /** All that was measured, on all ranks; what the first one did alone, of that one. */
  async gathered(): Promise<Readonly<Record<Kind, readonly number[]>>> {
    const gathered = { ...this.#seconds } as Record<Kind, readonly number[]>;
    for (const kind of KIND_NAMES) {
      const all = await gatherFloats(this.ranks, Float32Array.from(this.#seconds[kind]));
      gathered[kind] = (KINDS[kind].as === "process" ? all.slice(0, 1) : all).flatMap((part) => [...part]);
    }
    return gathered;
  }
}

/** The least seconds of a sum. */
async function leastSeconds(ranks: Collective, sizeBytes: number): Promise<number> {
  const data = new Float32Array(sizeBytes / 4);
  let least = Infinity;
  for (let i = 0; i < SUM_REPEATS; i++) {
    await ranks.barrier();
    const begun = performance.now();
    await ranks.allReduceSum(data);
    least = Math.min(least, (performance.now() - begun) / 1000);
  }
  return least;
}

/** `profile` on ranks that MPI starts: measures sums and steps, for `plan --profile`. */
import { requestDevice } from "../../kernels/mod.ts";
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
import { DEVICE_FLAGS, deviceOptions, OUTPUT_FLAGS } from "../common_flags.ts";
import { makeFolderOf, writeAtomic } from "../files.ts";
import { choice, integer, parseFlags, text, under } from "../flags.ts";
import type { Command } from "../help.ts";
import { KIND_FLAG, MODEL_FLAGS, modelOptions } from "../model_flags.ts";
import { fitSteps, fitSums, type RankProfile, spreadOf, sumSeconds, type SumTime } from "../rank_profile.ts";
import { inWordsOf } from "../run_config.ts";
import type { Terminal } from "../terminal.ts";

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
export function profileOn(ranks: Collective, threads: number): Command {
  return {
    summary: "measure sums and steps of ranks, for `plan --profile`",
    description:
      "Measures, on all ranks at the same time, how long they take to add up vectors, and how long a step takes of which they share nothing, and one that they share. `deno task plan --profile FILE --ranks N` makes of it what N ranks would take.",
    examples: [
      ["mpirun -n 2 --bind-to none deno task profile:mpi --model lmm --out runs/profile.json", "two ranks"],
    ],
    flags: FLAGS,
    run: (args, terminal) => profile(args, terminal, ranks, threads),
  };
}

async function profile(
  args: readonly string[],
  terminal: Terminal,
  ranks: Collective,
  threads: number,
): Promise<number> {
  const { values } = parseFlags(args, FLAGS, "profile");
  const config = inWordsOf(values, () => defineConfig({ model: values.model, ...modelOptions(values) }, values.preset));
  const { kind, ...rest } = deviceOptions(values), options = { ...rest, threads: values.threads ?? threads };
  using device = kind === "auto" ? (await requestAutomatic(options)).device : await requestDevice({ kind, ...options });
  const model = new Model(config), times: SumTime[] = [];
  for (const sizeBytes of SUM_BYTES) times.push({ sizeBytes, seconds: await leastSeconds(ranks, sizeBytes) });
  // Seconds of a step, on average: of ranks that share nothing, in the two halves of those that do, or that share it.
  const stepSeconds = async (rows: number, collective: Collective): Promise<number> => {
    const shape = { batch: rows * collective.size, length: values.seqLen }, optimizer = defineOptimizer({});
    const deterministic = collective.size === 1 ? 1 : 0;
    const trainer = await Trainer.create(device, { model, optimizer, shape, seed: 0, collective, deterministic });
    const tokens = Int32Array.from({ length: shape.batch * (shape.length + 1) }, (_, i) => (i * i) % config.vocabulary);
    await trainer.run({ batch: () => tokens }, 2);
    await ranks.barrier();
    const begun = performance.now();
    await trainer.run({ batch: () => tokens }, values.repeats);
    trainer.dispose();
    return (performance.now() - begun) / 1000 / values.repeats;
  };
  const one = await stepSeconds(1, SOLO), own = await stepSeconds(values.batch, SOLO);
  const together = ranks.size === 1 ? own : await stepSeconds(values.batch, ranks);
  const sums = fitSums(times, ranks.size);
  const found: RankProfile = {
    format: "mneme-rank-profile-1",
    ranks: ranks.size,
    model: String(model),
    parameters: model.layout.parameterCount,
    device: `${device.info.kind}: ${device.info.description}`,
    ...sums,
    ...fitSteps({ tokens: values.seqLen, seconds: one }, { tokens: values.batch * values.seqLen, seconds: own }),
    spread: spreadOf(together - own - sumSeconds(sums, ranks.size, 4 * model.layout.size), ranks.size),
  };
  const shown = `${JSON.stringify(found, null, 2)}\n`;
  if (values.out === undefined) terminal.out(shown);
  else if (ranks.rank === 0) {
    await makeFolderOf(values.out, "--out");
    await writeAtomic(values.out, shown);
  }
  return 0;
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

/**
 * Trains a small model on associative recall with one part of it changed at a time: what the tables of
 * docs/ablations.md are made with.
 *
 *     NODEVICE_SELECT=1 deno run --allow-read --allow-write=OUT --allow-env=NODEVICE_SELECT tests/titans/measure_ablations.ts --out OUT --base lmm
 *
 * Each run leaves a file in the folder OUT; started again, the script goes on with the runs that have none. Flags:
 * `--base lmm,mag` which models; `--seeds 0,1,2`; `--steps N`; `--only full,linear` which variants (`--list` names
 * them); `--pairs`, `--keys`, `--values`, `--rounds`, `--batch` the task; `--threads N` of the cpu device, 1 unless
 * said; `--config '{"thetaMax":2}'` changes all variants. At the end stand a table and a line of JSON.
 */
import { requestCpuDevice } from "../../kernels/mod.ts";
import {
  type AblationOptions,
  type AblationResult,
  average,
  type Base,
  BASES,
  type Cell,
  runAblation,
  runOf,
  VARIANTS,
} from "./ablation_runs.ts";

/**
 * The runs of a table, all variants of a seed before the next seed, so that a table that is not finished has whole
 * columns.
 */
export function cells(bases: readonly Base[], only: readonly string[], seeds: readonly number[]): Cell[] {
  const names = Object.keys(VARIANTS).filter((name) => only.length === 0 || only.includes(name));
  const variants = bases.flatMap((base) =>
    names.filter((name) => VARIANTS[name].bases?.includes(base) ?? true).map((variant) => ({ base, variant }))
  );
  return seeds.flatMap((seed) => variants.map((cell) => ({ ...cell, seed })));
}

/**
 * A Markdown table: accuracy in percent, its mean, least and largest over seeds, and its mean in each round of a
 * sequence; the loss of unseen answers; and the training loss averaged over all steps, which is lower the sooner a
 * model learns.
 */
export function table(results: readonly (Cell & AblationResult)[]): string {
  const rows = Map.groupBy(results, ({ base, variant }) => `${base.toUpperCase()} | ${variant}`);
  const percent = (share: number): string => (100 * share).toFixed(1);
  const lines = [...rows].map(([name, runs]) => {
    const of = (value: (run: AblationResult) => number): number[] => runs.map(value),
      shares = of(({ accuracy }) => accuracy);
    const rounds = runs[0].byRound.map((_, i) => percent(average(of(({ byRound }) => byRound[i]))));
    const spread = `${percent(Math.min(...shares))} to ${percent(Math.max(...shares))}`,
      losses = [of(({ loss }) => loss), of(({ curve }) => average(curve))];
    const columns = [
      name,
      percent(average(shares)),
      spread,
      rounds.join(", "),
      ...losses.map((each) => average(each).toFixed(3)),
      runs.length,
    ];
    return `| ${columns.join(" | ")} |`;
  });
  return [
    "| Model | Variant | Accuracy | Least to largest | Each round | Loss | While training | Seeds |",
    `|${"---|".repeat(8)}`,
    ...lines,
  ].join("\n");
}

/** How {@link runCells} runs. */
export interface Running {
  /** Where results are kept, a file a run. */
  readonly folder: string;
  /** Of the cpu device. */
  readonly threads: number;
  /** Hears of what is going on. */
  readonly say: (line: string) => void;
}

/** Runs the cells that have no file in the folder yet, writes theirs, and returns all. */
export async function runCells(
  list: readonly Cell[],
  options: AblationOptions,
  { folder, threads, say }: Running,
): Promise<(Cell & AblationResult)[]> {
  const fileOf = ({ base, variant, seed }: Cell): string =>
    `${folder}/${base} ${variant} ${seed}.json`.replaceAll(" ", "_");
  const device = await requestCpuDevice({ threads }), results: (Cell & AblationResult)[] = [];
  const waiting = list.filter((cell) => readResult(fileOf(cell), options) === undefined).length;
  let spent = 0, done = 0;
  try {
    for (const cell of list) {
      // Another process may have made it meanwhile.
      let result = readResult(fileOf(cell), options);
      if (!result) {
        const name = `${cell.base}, ${cell.variant}, seed ${cell.seed}`;
        result = await runAblation(
          device,
          runOf(cell, options),
          (step, loss) => say(`  ${name}: step ${step}, loss ${loss.toFixed(3)}`),
        );
        Deno.writeTextFileSync(fileOf(cell), JSON.stringify({ ...cell, options, ...result }));
        spent += result.seconds;
        const left = (spent / ++done) * (waiting - done) / 60,
          took = `${result.seconds.toFixed(0)} s; about ${left.toFixed(0)} min left`;
        say(`${done} of ${waiting}, ${name}: accuracy ${result.accuracy.toFixed(3)}, ${took}`);
      }
      results.push({ ...cell, ...result });
    }
  } finally {
    device.dispose();
  }
  return results;
}

/** The result in a file; undefined if there is none. */
function readResult(path: string, options: AblationOptions): AblationResult | undefined {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const stored = JSON.parse(text) as AblationResult & { options: AblationOptions };
  if (JSON.stringify(stored.options) !== JSON.stringify(options)) {
    throw new Error(`Cannot go on with ${path}: it comes from other settings; give another folder`);
  }
  return stored;
}

async function main(args: readonly string[]): Promise<void> {
  const flag = (name: string, otherwise: string): string =>
    args.includes(name) ? args[args.indexOf(name) + 1] : otherwise;
  const list = (text: string): string[] => text.split(",").filter((name) => name !== "");
  const number = (name: string, otherwise: number): number => Number(flag(name, String(otherwise)));
  if (args.includes("--list")) return console.log(Object.keys(VARIANTS).join("\n"));
  const folder = flag("--out", ""), bases = list(flag("--base", "lmm,mag")), only = list(flag("--only", ""));
  const unknown = [
    ...bases.filter((name) => !Object.hasOwn(BASES, name)),
    ...only.filter((name) => !Object.hasOwn(VARIANTS, name)),
  ];
  if (folder === "" || unknown.length > 0) {
    throw new Error(
      folder === "" ? "Say where results go: --out FOLDER" : `Cannot measure ${unknown.join(", ")}: see --list`,
    );
  }
  const options: AblationOptions = {
    task: {
      keys: number("--keys", 16),
      values: number("--values", 16),
      pairs: number("--pairs", 8),
      rounds: number("--rounds", 2),
    },
    batch: number("--batch", 16),
    steps: number("--steps", 800),
    held: number("--held", 512),
    config: JSON.parse(flag("--config", "{}")),
  };
  Deno.mkdirSync(folder, { recursive: true });
  const results = await runCells(cells(bases as Base[], only, list(flag("--seeds", "0,1,2")).map(Number)), options, {
    folder,
    threads: number("--threads", 1),
    say: console.error,
  });
  console.log(`${table(results)}\n\n${JSON.stringify({ options, results })}`);
}

if (import.meta.main) await main(Deno.args);

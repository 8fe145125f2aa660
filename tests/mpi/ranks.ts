/** Starts `train` on ranks, as users do: processes of their own under mpirun. */

/** A launch that ended. */
export interface Launched {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How ranks are launched. */
export interface Launch {
  /** Default: `train`. */
  readonly command?: string;
  /** Its flags. */
  readonly args: readonly string[];
  /** What a shell does on each rank before it becomes the rank; `$RANK` is its number. Default: nothing. */
  readonly before?: string;
  /** What the rank's command line is given to, such as `exec timeout 3`. Default: `exec`. */
  readonly by?: string;
  readonly env?: Readonly<Record<string, string>>;
}

const PERMISSIONS = [
  "--no-prompt",
  "--quiet",
  "--no-check",
  "--allow-read",
  "--allow-write=.scratch",
  "--allow-env=NODEVICE_SELECT,MNEME_MPI",
  "--allow-ffi",
].join(" ");

/** Whether there is an mpirun. */
export async function hasMpi(): Promise<boolean> {
  try {
    return (await new Deno.Command("mpirun", { args: ["--version"], stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

/** Starts ranks, more than there are cores if need be. */
export function launch(
  size: number,
  { command = "train", args, before = ":", by = "exec", env = {} }: Launch,
): Deno.ChildProcess {
  const words = args.map((word) => `'${word}'`).join(" ");
  const line =
    `RANK=$OMPI_COMM_WORLD_RANK; ROOT=$PWD; ${before}; ${by} deno run ${PERMISSIONS} $ROOT/cli/mpi/main.ts ${command} ${words}`;
  return new Deno.Command("mpirun", {
    args: [
      "--oversubscribe",
      "--bind-to",
      "none",
      "--mca",
      "mpi_yield_when_idle",
      "1",
      "-n",
      String(size),
      "sh",
      "-c",
      line,
    ],
    env: { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1", NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs ranks to their end. */
export async function runRanks(size: number, options: Launch): Promise<Launched> {
  const { code, stdout, stderr } = await launch(size, options).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

/** What a loss is of. */
export type LossKind = "step" | "validation";

/** What a run measured, by kind of event: one loss for each step, or for each validation. */
export async function lossesOf(run: string): Promise<Readonly<Record<LossKind, readonly number[]>>> {
  const losses = { step: [] as number[], validation: [] as number[] };
  for (const line of (await Deno.readTextFile(`${run}/metrics.jsonl`)).trim().split("\n")) {
    const { event, loss, step } = JSON.parse(line) as { event: LossKind; loss: number; step: number };
    losses[event].push(loss);
    if (event === "step" && step !== losses.step.length) {
      throw new Error(`step ${step} follows ${losses.step.length - 1}`);
    }
  }
  return losses;
}

/** Options of {@link largestDifference}. */
export interface DifferenceOptions {
  /** Which losses. Default: all. */
  readonly kinds?: readonly LossKind[];
  /** How many of each kind, from the first on. Default: all. */
  readonly first?: number;
}

/** The largest difference of two runs' losses, relative to them. @throws if they have different numbers of them. */
export async function largestDifference(
  run: string,
  expected: string,
  { kinds = ["step", "validation"], first = Infinity }: DifferenceOptions = {},
): Promise<number> {
  const [found, wanted] = await Promise.all([lossesOf(run), lossesOf(expected)]);
  let largest = 0;
  for (const kind of kinds) {
    if (found[kind].length !== wanted[kind].length) {
      throw new Error(`${found[kind].length} losses of ${kind}s in ${run}, ${wanted[kind].length} in ${expected}`);
    }
    for (const [i, loss] of wanted[kind].slice(0, first).entries()) {
      largest = Math.max(largest, Math.abs(found[kind][i] - loss) / loss);
    }
  }
  return largest;
}

/**
 * The time from the start of a process to a model's first training step, by part.
 *
 * Each round starts two processes for each model: one that finds the caches of drivers and compilers empty, and one
 * that finds what the first has left there. Each says how long its parts took, and then does the same again for a
 * second trainer, with an engine that is warm.
 */
import { CommandError } from "../../cli/errors.ts";
import { type Options, type TimedDevice, timedDevices } from "./flags.ts";
import type { Effort } from "./measure.ts";
import { Progress } from "./progress.ts";
import { quantile } from "./statistics.ts";
import { digits, formatTable } from "./table.ts";

/** What finds what it needs: nothing; caches on disk; caches and a process that has compiled the same before. */
export type Start = "empty caches" | "filled caches" | "same process";

/** The parts in their order, in milliseconds each: the fastest of the rounds. */
export const PARTS = [
  "import",
  "device",
  "trace",
  "simplify",
  "schedule",
  "plan",
  "print",
  "compile",
  "start",
  "state",
  "run",
] as const;

/** A model's way to its first step. */
export interface FirstStepRow {
  readonly device: TimedDevice;
  readonly model: string;
  readonly preset: string;
  readonly start: Start;
  readonly rounds: number;
  readonly parts: Readonly<Partial<Record<(typeof PARTS)[number], number>>>;
  /** The fastest round's sum of the parts. */
  readonly allMs: number;
  readonly medianMs: number;
}

/** What the mode gives. */
export interface FirstStepReport {
  readonly rows: readonly FirstStepRow[];
  /** What stopped the run. */
  readonly failure?: string;
}

type Times = Readonly<Record<string, number>>;

/** A model's starts of one kind, a round each. */
interface Series extends Pick<FirstStepRow, "device" | "model" | "preset" | "start"> {
  readonly rounds: Times[];
}

/** Where drivers and compilers keep what they have compiled, moved to a folder. */
const CACHES = ["MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH", "XDG_CACHE_HOME"];

/** Times first steps of the devices asked for, up to what fails. */
export async function runFirstStep(
  options: Options,
  { rounds }: Effort,
  write: (line: string) => void,
): Promise<FirstStepReport> {
  const devices = await timedDevices(options.devices), { filter = "" } = options;
  const models = ["nano", "small"].flatMap((preset) => ["lmm", "mac"].map((model) => ({ model, preset })))
    .filter(({ model, preset }) => `${model} ${preset}`.includes(filter));
  if (models.length === 0) {
    throw new CommandError(
      `no model has ${JSON.stringify(filter)} in its name: there are lmm nano, mac nano, lmm small and mac small`,
    );
  }
  // A round is long: it starts two processes.
  const turns = options.rounds ?? Math.min(rounds, 5), folder = `${options.json.replace(/\.json$/, "")}.caches`;
  const subjects = devices.flatMap((device) => models.map((model) => ({ device, ...model })));
  const progress = new Progress(turns * subjects.length, write), series = new Map<string, Series>();
  const note = (key: Omit<Series, "rounds">, times: Times): void => {
    const name = Object.values(key).join(), known = series.get(name);
    if (known) known.rounds.push(times);
    else series.set(name, { ...key, rounds: [times] });
  };
  try {
    for (let turn = 0; turn < turns; turn++) {
      for (const subject of subjects) {
        const { device, model, preset } = subject;
        progress.next(`${device}: ${model} ${preset}`);
        removeFolder(folder);
        for (const start of ["empty caches", "filled caches"] as const) {
          const [first, second] = await timesOf([device, model, preset], folder);
          note({ ...subject, start }, first);
          if (start === "filled caches") note({ ...subject, start: "same process" }, second);
        }
      }
    }
  } catch (error) {
    // What was measured before is worth keeping.
    return { rows: rowsOf(series), failure: error instanceof Error ? error.message : String(error) };
  } finally {
    removeFolder(folder);
  }
  return { rows: rowsOf(series) };
}

function removeFolder(folder: string): void {
  try {
    Deno.removeSync(folder, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Runs a process. @returns the parts of its first trainer and of its second, in milliseconds. */
async function timesOf(args: readonly string[], caches: string): Promise<[Times, Times]> {
  const pathOf = (file: string): string => decodeURIComponent(new URL(file, import.meta.url).pathname);
  Deno.mkdirSync(caches, { recursive: true });
  const { stdout, stderr } = await new Deno.Command("deno", {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--no-check",
      "--config",
      pathOf("../../deno.json"),
      "--allow-all",
      pathOf("first_step_child.ts"),
      ...args,
      `${caches}/native`,
    ],
    env: { NO_COLOR: "1", ...Object.fromEntries(CACHES.map((name) => [name, Deno.realPathSync(caches)])) },
  }).output();
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes).trim();
  const lines = text(stdout).split("\n").filter((line) => line.startsWith("{"));
  const [first, second] = lines.map((line) => JSON.parse(line) as Times | { error: string });
  const error = [first, second].find((times) => times && "error" in times)?.error;
  if (!first || !second || error) throw new Error(`${args.join(" ")}: ${error ?? text(stderr).split("\n").at(-1)}`);
  return [first as Times, second as Times];
}

function rowsOf(series: ReadonlyMap<string, Series>): FirstStepRow[] {
  return [...series.values()].map(({ rounds, ...subject }) => {
    const sums = rounds.map((times) => Object.values(times).reduce((sum, time) => sum + time, 0));
    const parts = PARTS.filter((part) => part in rounds[0]).map((part) => [
      part,
      Math.min(...rounds.map((times) => times[part])),
    ]);
    return {
      ...subject,
      rounds: rounds.length,
      parts: Object.fromEntries(parts),
      allMs: Math.min(...sums),
      medianMs: quantile(sums, 0.5),
    };
  });
}

/** A table of a device's models a line, with a column a part. */
export function firstStepTables({ rows }: FirstStepReport): string {
  const devices = [...new Set(rows.map(({ device }) => device))];
  return devices.map((device) => {
    const lines = rows.filter((row) => row.device === device).map((
      { model, preset, start, parts, allMs, medianMs },
    ) => [
      `${model.toUpperCase()} ${preset}`,
      start,
      ...PARTS.map((part) => digits(parts[part])),
      digits(allMs),
      digits(medianMs),
    ]);
    const header = ["milliseconds to the first step", "start", ...PARTS, "all", "median"];
    return `first training step on ${device}: 8 x 128 bytes, the fastest round, part by part\n${
      formatTable(header, lines, [1])
    }`;
  }).join("\n");
}

/**
 * Trains models or optimizers beside each other on the default text, for the tables of docs/models.md:
 * `deno task compare --help`.
 *
 * All see the same bytes in the same order. The MLPs of the models are widened or narrowed until each has about
 * `--parameters`; the learning rate of each is the one that is best on the first half of the held-out text with the first
 * seed, and the figures are those on the second half.
 */
import { exitCode, formatError } from "../../cli/errors.ts";
import { formatDuration } from "../../cli/progress.ts";
import { stateOfTheUnion } from "../../cli/sotu.ts";
import { processTerminal, type Terminal } from "../../cli/terminal.ts";
import { requestDevice } from "../../kernels/mod.ts";
import { evenWindows, RandomWindows, splitText } from "../../titans/mod.ts";
import { comparisonHelp, type ComparisonOptions, readComparisonOptions } from "./comparison_flags.ts";
import { type ComparisonText, isSameRun, readRuns, remainingRuns, type RunKey, train } from "./comparison_runs.ts";
import { comparisonReport, comparisonRows, readSpeeds } from "./comparison_table.ts";

const SHAPE = { batch: 8, length: 128 }, WINDOWS = 128;

async function defaultText(): Promise<ComparisonText> {
  const text = splitText(await stateOfTheUnion()), half = text.heldOut.length >> 1;
  return {
    shape: SHAPE,
    data: (seed) => new RandomWindows(text.train, SHAPE, seed),
    validation: evenWindows(text.heldOut.subarray(0, half), SHAPE.length, WINDOWS),
    test: evenWindows(text.heldOut.subarray(half), SHAPE.length, WINDOWS),
  };
}

async function trainRest({ wanted, device: kind, out }: ComparisonOptions, terminal: Terminal): Promise<void> {
  const finished = await readRuns(out), text = await defaultText(), started = performance.now();
  const folder = out.slice(0, Math.max(0, out.lastIndexOf("/")));
  if (folder) await Deno.mkdir(folder, { recursive: true });
  const device = await requestDevice({ kind });
  let rest: RunKey[];
  for (let done = 0; (rest = remainingRuns(wanted, finished)).length > 0; done++) {
    const [key] = rest, elapsed = (performance.now() - started) / 1000;
    const eta = done === 0 ? "" : `, ETA ${formatDuration(elapsed / done * rest.length)}`;
    terminal.err(
      `[${done + 1}/${done + rest.length}] ${
        formatDuration(elapsed)
      }${eta}: ${key.model}, convolution ${key.convolution}, ${key.optimizer} ${key.rate}, seed ${key.seed}\n`,
    );
    const result = await train(device, key, text);
    finished.push(result);
    await Deno.writeTextFile(out, `${JSON.stringify(result)}\n`, { append: true });
    terminal.err(`  validation ${result.validation.toFixed(3)}, test ${result.test.toFixed(3)} bits per byte\n`);
  }
  device.dispose();
}

/** Runs a command line. @returns the exit code: 0, 2 for misuse, 1 for failure. */
export async function main(args: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const options = readComparisonOptions(args);
    if (!options) {
      terminal.out(comparisonHelp());
      return 0;
    }
    if (!options.table) await trainRest(options, terminal);
    const finished = (await readRuns(options.out)).filter((run) => options.wanted.some((key) => isSameRun(key, run)));
    const speeds = options.speeds === undefined ? undefined : await readSpeeds(options.speeds);
    terminal.out(comparisonReport(comparisonRows(finished), speeds));
    return 0;
  } catch (error) {
    terminal.err(`${formatError(error, args.includes("--verbose"))}\n`);
    return exitCode(error);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args, processTerminal()));

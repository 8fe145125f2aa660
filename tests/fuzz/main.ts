/** The fuzzer: `deno task fuzz --help`. */
import { CommandError, exitCode, formatError } from "../../cli/errors.ts";
import { formatDuration } from "../../cli/progress.ts";
import { processTerminal, type Terminal } from "../../cli/terminal.ts";
import { type CampaignReport, type Fault, runCampaign } from "./campaign.ts";
import { helpText, type Options, readOptions } from "./flags.ts";
import { generate } from "./generate.ts";
import { callOf } from "./ops/table.ts";
import { scriptOf } from "./script.ts";
import { openTargets } from "./targets.ts";
import { formatShape } from "../../core/shape.ts";
import { nameOf, Printer } from "./text.ts";

/** Programs after which an op that was not met is a fault of the generator. */
const ENOUGH_FOR_COVERAGE = 1000;

/** Runs a command line. @returns the exit code: 0, 2 for misuse, 1 for failure. */
export async function main(args: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const options = readOptions(args);
    if (!options) terminal.out(helpText());
    else if (options.print !== undefined) terminal.out(programText(options.print));
    else await fuzz(options, terminal);
    return 0;
  } catch (error) {
    terminal.err(`${formatError(error, args.includes("--verbose"))}\n`);
    return exitCode(error);
  }
}

function programText(seed: number): string {
  const program = generate(seed);
  const inputs = program.inputs.map(({ id, dtype, shape, fill }, i) =>
    `${nameOf(id)}: ${dtype}${formatShape(shape)}${program.donate.includes(i) ? ", donated" : ""}  ${
      JSON.stringify(fill)
    }`
  );
  return `${[...inputs, ...new Printer(callOf, { typed: true }).body(program)].join("\n")}\n`;
}

function* seedsOf({ from, to, minutes }: Options): Generator<number> {
  const until = performance.now() + minutes * 60000;
  for (let seed = from; seed < to && performance.now() < until; seed++) yield seed;
}

async function fuzz(options: Options, terminal: Terminal): Promise<void> {
  const targets = await openTargets(options.devices);
  terminal.err(`seeds from ${options.from}, on ${targets.map(({ name }) => name).join("; ")}\n`);
  let shown = 0;
  try {
    const report = await runCampaign({
      seeds: seedsOf(options),
      targets,
      shrink: options.shrink,
      maxFailures: options.maxFailures,
      onFault: (fault) => terminal.err(`${saveFault(fault, options.out)}\n`),
      onProgram: (seed, snapshot) => {
        if (snapshot.seconds - shown < 10) return;
        shown = snapshot.seconds;
        terminal.err(`${progressLine(seed, snapshot, options)}\n`);
      },
    });
    terminal.out(summary(report));
    if (options.json) save(options.json, `${JSON.stringify(figures(report, options), null, 1)}\n`);
    conclude(report);
  } finally {
    for (const { device } of targets) device.dispose();
  }
}

function progressLine(
  seed: number,
  { coverage, seconds, faults }: CampaignReport,
  { from, to, minutes }: Options,
): string {
  const rate = coverage.programs / seconds;
  const rest = Math.min(to === Infinity ? Infinity : (to - from - coverage.programs) / rate, minutes * 60 - seconds);
  return `seed ${seed}: ${coverage.programs} programs in ${formatDuration(seconds)}, ${
    rate.toFixed(1)
  } programs/s, ETA ${formatDuration(rest)}, ${faults.length} failures`;
}

function save(path: string, text: string): void {
  const folder = path.slice(0, Math.max(0, path.lastIndexOf("/")));
  if (folder) Deno.mkdirSync(folder, { recursive: true });
  Deno.writeTextFileSync(path, text);
}

/** Writes a fault's script and says so in one line. */
function saveFault({ failure, program, seeds }: Fault, folder: string): string {
  const path = `${folder}/${failure.stage}_${failure.device ? `${failure.device.split(" ")[0]}_` : ""}${seeds[0]}.ts`;
  save(path, scriptOf(program, failure));
  return `FAILED seed ${seeds[0]}, ${failure.stage}${failure.device ? ` on ${failure.device}` : ""}: ${
    failure.message.split("\n")[0].slice(0, 200)
  } (${path})`;
}

function share(part: number, whole: number): string {
  return `${(100 * part / Math.max(1, whole)).toFixed(2)}%`;
}

function summary({ coverage, comparison, faults, slow, gradients, seconds }: CampaignReport): string {
  const { programs, firstOrder, secondOrder, loops, donated } = coverage, { compared, undecided, loose } = comparison;
  return [
    `${programs} programs in ${formatDuration(seconds)}, ${(programs / seconds).toFixed(1)} programs/s`,
    `with gradients ${share(firstOrder, programs)}, of second order ${share(secondOrder, programs)}, with loops ${
      share(loops, programs)
    }, with donated arguments ${share(donated, programs)}; ${gradients} gradients agree with difference quotients`,
    `${compared} elements within their bounds, ${share(undecided, compared + undecided)} undecided, ${
      share(loose, compared)
    } with a bound above a thousandth of their size`,
    ...(slow.length > 0
      ? [`slow: ${slow.slice(0, 12).map(({ seed, seconds }) => `seed ${seed} ${seconds} s`).join(", ")}`]
      : []),
    "",
    "programs that reached each primitive:",
    coverage.table(),
    "",
    ...faults.map(({ signature, seeds, failure }) =>
      `FAILED ${seeds.length} times, first seed ${seeds[0]}: ${signature}: ${
        failure.message.split("\n")[0].slice(0, 200)
      }`
    ),
    "",
  ].join("\n");
}

function figures(
  { coverage, comparison, faults, slow, gradients, seconds }: CampaignReport,
  options: Options,
): object {
  const { programs, firstOrder, secondOrder, loops, donated, missing } = coverage;
  return {
    from: options.from,
    devices: options.devices,
    programs,
    seconds,
    programsPerSecond: programs / seconds,
    firstOrder,
    secondOrder,
    loops,
    donated,
    gradients,
    ...comparison,
    slow,
    missing,
    primitives: Object.fromEntries(coverage.primitives),
    functions: Object.fromEntries(coverage.functions),
    failures: faults.map(({ signature, seeds, failure, program }) => ({ signature, seeds, failure, program })),
  };
}

/** @throws {CommandError} if something failed, or was never met. */
function conclude({ coverage, faults }: CampaignReport): void {
  if (faults.length > 0) throw new CommandError(`${faults.length} kinds of failure in ${coverage.programs} programs`);
  const { missing, programs } = coverage;
  if (programs >= ENOUGH_FOR_COVERAGE && missing.length > 0) {
    throw new CommandError(
      `${programs} programs never reached ${
        missing.join(", ")
      }: the generator's table (tests/fuzz/ops) lacks them or makes them too rarely`,
    );
  }
}

if (import.meta.main) {
  const terminal = processTerminal();
  Deno.exit(await main(Deno.args, terminal));
}

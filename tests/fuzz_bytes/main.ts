/** `deno task fuzz:bytes`: damaged and made-up inputs for everything that reads bytes. */
import { choice, integer, number, type Values } from "../../cli/flags.ts";
import { formatCount } from "../../cli/progress.ts";
import { runTool } from "../tool.ts";
import { inputOf, kindOf, minimise } from "./reader.ts";
import { READERS } from "./readers.ts";
import { type Failure, watch } from "./watch.ts";

const NAMES = READERS.map(({ name }) => name);

const FLAGS = {
  inputs: integer("inputs in all, shared out by how fast readers are", 100_000, { min: 1, max: 2 ** 31 }),
  minutes: number("go on with other inputs for so long instead", undefined, { min: 0, aboveMin: true }),
  reader: choice(NAMES, "one reader only"),
  seed: integer("same seed, same inputs", 0, { min: 0, max: 2 ** 31 }),
} as const;

const OUT = ".scratch/fuzz_bytes";
const PROCESSES = 2;

interface Totals {
  readonly failures: Failure[];
  inputs: number;
  peakRss: number;
}

async function fuzz({ inputs, minutes, reader, seed }: Values<typeof FLAGS>): Promise<number> {
  const chosen = READERS.filter(({ name }) => reader === undefined || name === reader),
    weight = chosen.reduce((sum, { weight }) => sum + weight, 0);
  const began = performance.now(), totals: Totals = { failures: [], inputs: 0, peakRss: 0 };
  const until = minutes === undefined ? 0 : began + 60_000 * minutes;
  for (let round = 0; round === 0 || performance.now() < until; round++) {
    const queue = chosen.map(({ name, weight: own }) => ({
      reader: name,
      seed: seed + round,
      from: 0,
      to: Math.max(1, Math.ceil(inputs * own / weight)),
    }));
    const work = async (): Promise<void> => {
      for (let share = queue.shift(); share; share = queue.shift()) {
        const start = performance.now(),
          { failures, peakRss } = await watch(share),
          seconds = (performance.now() - start) / 1000;
        totals.failures.push(...failures);
        totals.inputs += share.to;
        totals.peakRss = Math.max(totals.peakRss, peakRss);
        const figures = `${formatCount(share.to)} inputs, ${formatCount(share.to / seconds)} a second, ${
          formatCount(peakRss / 2 ** 20)
        } MiB, ${failures.length} failures`;
        console.log(`${share.reader.padEnd(12)} ${figures}`);
      }
    };
    await Promise.all(Array.from({ length: PROCESSES }, work));
    if (minutes === undefined) break;
  }
  await report(totals.failures);
  const seconds = (performance.now() - began) / 1000;
  const speed = `${formatCount(totals.inputs)} inputs in ${formatCount(seconds)} s, ${
    formatCount(totals.inputs / seconds)
  } a second`;
  console.log(
    `${speed}; peak RSS ${
      formatCount(totals.peakRss / 2 ** 20)
    } MiB; ${totals.failures.length} crashes, hangs or bad messages`,
  );
  return totals.failures.length > 0 ? 1 : 0;
}

/** One of each kind of failure, as small as it can be, with the file that shows it. */
async function report(failures: readonly Failure[]): Promise<void> {
  const kinds = Map.groupBy(failures, ({ reader, verdict }) => `${reader}: ${kindOf(verdict)}`);
  for (const [kind, [first, ...more]] of kinds) {
    const reader = READERS.find(({ name }) => name === first.reader)!, bytes = inputOf(reader, first.seed, first.index);
    const isFatal = /^(hangs|ends the process)/.test(first.verdict),
      small = isFatal ? bytes : await minimise(reader, bytes, first.verdict);
    await Deno.mkdir(OUT, { recursive: true });
    const path = `${OUT}/${first.reader}-${first.seed}-${first.index}.bin`;
    await Deno.writeFile(path, small);
    console.log(
      `\n${kind}\n  ${path} (${small.length} bytes), ${more.length} more\n  ${
        first.verdict.split("\n").slice(0, 8).join("\n  ")
      }`,
    );
  }
}

if (import.meta.main) {
  await runTool({
    task: "fuzz:bytes",
    about:
      "Reads damaged and made-up inputs with everything that reads bytes; each must end in a result or in an error of one line.",
    flags: FLAGS,
    run: fuzz,
  });
}

/**
 * Trains on a synthetic corpus of any size and prints how much memory the process takes meanwhile: it must not depend
 * on the size.
 *
 *     deno run --allow-read --allow-write=.scratch --allow-env=NODEVICE_SELECT tests/cli/data/flat_memory.ts --megabytes 2000
 *
 * Prints one JSON object a line; the last one has the peaks.
 */
import { main } from "../../../main.ts";
import { integer, parseFlags, text } from "../../../cli/flags.ts";

const FLAGS = {
  megabytes: integer("size of the text", 2000, { min: 1 }),
  end: text("END", "what the file's name ends in: txt, jsonl, jsonl.gz or csv", "txt"),
  steps: integer("steps of training", 200, { min: 1 }),
  stream: integer("tokens through which memory is carried, as train takes it", 0, { min: 0 }),
  folder: text("DIR", "where the corpus, the cache and the run are; removed at the end", ".scratch/flat_memory"),
};

const MEGABYTE = 1e6;

/** Megabytes that the process takes now, with what its allocators keep of what was freed. */
function residentMegabytes(): number {
  return Math.round(Deno.memoryUsage().rss / MEGABYTE);
}

/**
 * Megabytes of objects and buffers that are alive, with `--v8-flags=--expose-gc` without garbage: what the program
 * itself decides, on a busy machine too.
 */
function heldMegabytes(): number {
  const { gc } = globalThis as { gc?: () => void };
  // Buffers are freed beside the program after a collection; the next one waits for that.
  gc?.();
  gc?.();
  const { heapUsed, external } = Deno.memoryUsage();
  return Math.round((heapUsed + external) / MEGABYTE);
}

/** About a megabyte of text, another one for each number, in lines of a format. */
function block(number: number, end: string): Uint8Array<ArrayBuffer> {
  const lines: string[] = [];
  for (let size = 0, i = number * 7919; size < MEGABYTE; i++) {
    const words = `document ${i} says that ${(i * 48271) % 1000003} follows ${
      (i * 69621) % 1000033
    }, and the memory keeps learning while it reads.`.repeat(8);
    const line = end.startsWith("jsonl") ? JSON.stringify({ text: words }) : end === "csv" ? `${i},"${words}"` : words;
    lines.push(line);
    size += line.length + 1;
  }
  return new TextEncoder().encode(`${lines.join("\n")}\n`);
}

async function writeCorpus(path: string, megabytes: number, end: string): Promise<number> {
  const blocks = async function* (): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    if (end === "csv") yield new TextEncoder().encode("id,text\n");
    for (let i = 0; i < megabytes; i++) yield await Promise.resolve(block(i, end));
  };
  const text = ReadableStream.from(blocks());
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  for await (const piece of end.endsWith(".gz") ? text.pipeThrough(new CompressionStream("gzip")) : text) {
    for (let rest: Uint8Array = piece; rest.length > 0;) rest = rest.subarray(await file.write(rest));
  }
  return (await file.stat()).size;
}

const { values: flags } = parseFlags(Deno.args, FLAGS, "flat_memory");
const say = (facts: Record<string, unknown>): void => console.log(JSON.stringify(facts));
await Deno.mkdir(flags.folder, { recursive: true });
try {
  const path = `${flags.folder}/corpus.${flags.end}`;
  say({
    written: path,
    bytes: await writeCorpus(path, flags.megabytes, flags.end),
    residentMegabytes: residentMegabytes(),
  });
  let prepared = heldMegabytes(), last = 0;
  // The highest of many looks counts.
  const timer = setInterval(() => prepared = Math.max(prepared, heldMegabytes()), 20);
  const peaks: number[] = [];
  const began = performance.now();
  const code = await main([
    ...[
      "train",
      "--data",
      path,
      "--cache",
      `${flags.folder}/cache`,
      "--out",
      `${flags.folder}/run`,
      "--json",
      "--device",
      "cpu",
      "--model",
      "lmm",
    ],
    ...[
      "--steps",
      String(flags.steps),
      "--batch",
      "2",
      "--seq-len",
      "64",
      "--eval-every",
      "0",
      "--eval-bytes",
      "1024",
      "--sample-tokens",
      "0",
    ],
    ...["--checkpoint-every", "100000", "--stream", String(flags.stream)],
  ], {
    interactive: false,
    columns: Infinity,
    closed: false,
    err: (line) => console.error(line.trim()),
    out: (line) => {
      const event = JSON.parse(line) as { event: string; step: number; trainBytes?: number; loss?: number };
      if (event.event === "start") {
        clearInterval(timer);
        say({
          event: "start",
          trainBytes: event.trainBytes,
          seconds: Math.round((performance.now() - began) / 1000),
          residentMegabytes: residentMegabytes(),
        });
      }
      if (event.event !== "step") return;
      peaks.push(heldMegabytes());
      if (event.step - last < flags.steps / 8) return;
      last = event.step;
      say({ step: event.step, loss: event.loss, residentMegabytes: residentMegabytes() });
    },
  });
  clearInterval(timer);
  say({ event: "done", code, preparingPeak: prepared, trainingPeak: Math.max(...peaks) });
} finally {
  await Deno.remove(flags.folder, { recursive: true });
}

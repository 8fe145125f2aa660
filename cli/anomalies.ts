/** `anomalies`: lines of a stream that a memory which learns as it reads is surprised by. */
import { requestDevice } from "../kernels/mod.ts";
import { FieldScales } from "./anomaly_lines.ts";
import { WatchingMemory } from "./anomaly_memory.ts";
import { AnomalyStream, learnScales, type ScoredLine, type StreamFormat } from "./anomaly_stream.ts";
import { DEVICE_FLAGS, deviceOptions, OUTPUT_FLAGS } from "./common_flags.ts";
import { UsageError } from "./errors.ts";
import { choice, integer, number, parseFlags, text, type Values } from "./flags.ts";
import type { Command } from "./help.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { formatCount } from "./progress.ts";
import { dataError, piecesOf, wholeFile } from "./task_files.ts";
import { printable, type Terminal } from "./terminal.ts";
import { userPath } from "./user_path.ts";

const FLAGS = {
  data: text("FILE", "what to watch: .log, .csv or .jsonl, or `-` for what another program writes", "-"),
  clean: { ...text("FILE", "what is normal, to learn before and to set the threshold by"), unless: "the first lines" },
  cleanLines: integer("how many first lines are normal, without `--clean`", 10_000, { min: 100, max: 2 ** 22 }),
  format: { ...choice(["log", "csv", "jsonl"], "how lines are read"), unless: "by the name of the file, else log" },
  quantile: number("share of normal lines below the threshold", 0.9999, { min: 0, max: 1 }),
  rate: number("how fast the memory learns", 0.5, { min: 0, max: 1, aboveMin: true }),
  forget: number("share of the memory that is forgotten with each line", 1e-4, { min: 0, max: 1 }),
  csv: { read: () => true, help: "print `line,score` without the text", fallback: false },
  ...DEVICE_FLAGS,
  ...OUTPUT_FLAGS,
} as const;

type AnomalyFlags = Values<typeof FLAGS>;

/** The command `anomalies`. */
export const anomaliesCommand: Command = {
  summary: "print the lines of a log or table that surprise a memory",
  description: [
    "Reads lines as they come, with constant memory. A memory learns each line after it has said how new it is; lines",
    "above a threshold, which lines that are normal set, are printed with their numbers and scores.",
  ].join("\n"),
  examples: [
    ["deno task anomalies --data server.log", "the first 10,000 lines are taken as normal"],
    [
      "tail -f server.log | deno task anomalies --clean yesterday.log --json",
      "as it is written; one JSON object per line",
    ],
    [
      "deno task anomalies --data sensors.csv --clean-lines 2000 --quantile 0.999 --csv",
      "numbers count by deviations",
    ],
  ],
  flags: FLAGS,
  run: anomalies,
};

async function anomalies(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values: flags } = parseFlags(args, FLAGS, "anomalies");
  using interrupt = listenForInterrupt(terminal);
  const path = flags.data === "-" ? "standard input" : userPath(flags.data), format = formatOf(flags);
  const source = await opened(flags.data === "-" ? "-" : path), device = await requestDevice(deviceOptions(flags));
  const memory = await WatchingMemory.create(device, flags), scales = new FieldScales(), began = performance.now();
  const watch = new Watch(flags, terminal);
  const stream = (path: string): AnomalyStream =>
    new AnomalyStream(memory, { format, path, scales, take: (scored) => watch.take(scored) });
  try {
    let rest = source;
    if (flags.clean !== undefined) {
      const clean = userPath(flags.clean), bytes = await wholeFile(clean).catch((error) => refuse(error, clean));
      learnScales(bytes, { format, path: clean, scales });
      await stream(clean).read(once(bytes));
      watch.endClean();
    } else if (format !== "log") {
      // Numbers need their scales before the first of them is learned.
      const { head, all } = await withHead(source, flags.cleanLines);
      learnScales(head, { format, path, scales });
      rest = all;
    }
    const bytes = await stream(path).read(untilStopped(rest, () => interrupt.requested));
    watch.end({ bytes, seconds: (performance.now() - began) / 1000, path });
    return interrupt.requested ? interrupt.exitCode : 0;
  } finally {
    memory.dispose();
    device.dispose();
  }
}

function formatOf({ format, data }: AnomalyFlags): StreamFormat {
  const found = /\.(csv|jsonl)$/i.exec(data)?.[1].toLowerCase();
  return format ?? (found as StreamFormat | undefined) ?? "log";
}

function refuse(error: unknown, path: string): never {
  throw dataError(error, path, "lines of anomalies");
}

/** The bytes of a file, or of what another program writes, which may come slowly. */
function opened(path: string): Promise<AsyncGenerator<Uint8Array>> {
  return piecesOf(path, path === "-" ? 1 : undefined).catch((error) => refuse(error, path));
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

async function* untilStopped(pieces: AsyncIterable<Uint8Array>, stopped: () => boolean): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    if (stopped()) return;
    yield piece;
  }
}

// A head of so many bytes is enough, however few lines it has.
const MOST_HEAD = 2 ** 26;

/** The first lines, and the whole stream once more. */
async function withHead(
  pieces: AsyncGenerator<Uint8Array>,
  lines: number,
): Promise<{ readonly head: Uint8Array; readonly all: AsyncGenerator<Uint8Array> }> {
  const held: Uint8Array[] = [];
  let count = 0, bytes = 0;
  while (count < lines && bytes < MOST_HEAD) {
    const { value, done } = await pieces.next();
    if (done) break;
    held.push(value);
    bytes += value.length;
    for (const byte of value) if (byte === 10) count++;
  }
  const head = await new Blob(held as BlobPart[]).bytes();
  let end = 0;
  for (let line = 0; line < lines && end >= 0; line++) end = head.indexOf(10, end) + 1 || -1;
  const all = async function* (): AsyncGenerator<Uint8Array> {
    yield head;
    yield* pieces;
  };
  return { head: end < 0 ? head : head.subarray(0, end), all: all() };
}

// The first share of what is normal is learned only, since a memory that knows nothing is surprised by everything.
const LEARNED = 0.5;

/** Sets the threshold by normal lines, and prints what is above it. */
class Watch {
  readonly #flags: AnomalyFlags;
  readonly #terminal: Terminal;
  #clean: number[] = [];
  #threshold: number | undefined;
  #lines = 0;
  #found = 0;

  constructor(flags: AnomalyFlags, terminal: Terminal) {
    this.#flags = flags;
    this.#terminal = terminal;
  }

  take(scored: readonly ScoredLine[]): void {
    let text = "";
    for (const { line, score, text: show } of scored) {
      if (this.#threshold === undefined) {
        this.#clean.push(score);
        if (this.#flags.clean === undefined && this.#clean.length === this.#flags.cleanLines) this.endClean();
        continue;
      }
      this.#lines++;
      if (score <= this.#threshold) continue;
      this.#found++;
      text += this.#shown(line, score, show);
    }
    if (text !== "") this.#terminal.out(text);
  }

  #shown(line: number, score: number, text: () => string): string {
    const { json, csv } = this.#flags, rounded = Number(score.toPrecision(4));
    if (csv) return `${line},${rounded}\n`;
    if (json) return `${JSON.stringify({ line, score: rounded, text: text() })}\n`;
    return `${String(line).padStart(9)}  ${rounded.toFixed(3)}  ${printable(text())}\n`;
  }

  /** All that is normal has been read. @throws {UsageError} if that is too little. */
  endClean(): void {
    const used = this.#clean.slice(Math.floor(LEARNED * this.#clean.length)).sort((a, b) => a - b);
    if (used.length < 50) {
      throw new UsageError(
        `anomalies needs at least 100 lines that are normal, and there are ${this.#clean.length}: give more, or --clean FILE`,
      );
    }
    const at = Math.min(used.length - 1, Math.floor(this.#flags.quantile * used.length));
    this.#threshold = used[at];
    this.#clean = [];
  }

  /** The stream has ended: a summary, which is no part of the output. */
  end({ bytes, seconds, path }: { readonly bytes: number; readonly seconds: number; readonly path: string }): void {
    if (this.#threshold === undefined) {
      throw new UsageError(
        `${path} ended after ${this.#clean.length} lines, all of which were to be normal: give fewer with --clean-lines, or --clean FILE`,
      );
    }
    const rate = (bytes / 1e6 / Math.max(seconds, 1e-3)).toFixed(1);
    this.#terminal.err(
      `${formatCount(this.#found)} of ${formatCount(this.#lines)} lines above ${
        this.#threshold.toPrecision(3)
      }; ${rate} MB/s\n`,
    );
  }
}
